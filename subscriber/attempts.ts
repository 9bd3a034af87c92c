import type { SpanContext, TraceFlags } from '@opentelemetry/api';
import { chosenIdsAreUsed, deriveIds, type SpanIds } from '../shared/trace/span-ids.ts';
import type { Claim } from './claim.ts';
import type { Delivery } from './delivery.ts';
import { RecentMap } from './recent-map.ts';

/**
 * The process spans of a message's attempts, known without storage.
 *
 * An attempt's ids follow from subscription, message, delivery and local try. Whichever worker gets attempt n+1 can thus
 * tell the span of attempt n, even when the process that ran it is gone. (If that process was killed, its span was never
 * exported, and the link names a span that nobody will see: which is the truth.)
 * With an inbox its claims count the attempts, and ids follow from consumer, job and attempt.
 * Where Pub/Sub does not count deliveries (no dead-letter policy) only this process's own memory can tell.
 */
export interface Attempts {
  /** The ids for this attempt's span; undefined: let them be random. */
  idsFor(delivery: Delivery): Required<SpanIds> | undefined;
  /**
   * The span of the attempt before this one, unless it is remembered: in trace `traceId`, or as a root when this attempt
   * is one too.
   */
  previous(delivery: Delivery, traceId: string | undefined, traceFlags: TraceFlags): SpanContext | undefined;
  /** To be called when an attempt failed and will be followed by another. */
  remember(delivery: Delivery, span: SpanContext): void;
}

/** Messages whose last attempt is kept in mind; older ones are forgotten. */
const REMEMBERED = 10_000;

export function createAttempts(): Attempts {
  const last = new RecentMap<string, SpanContext>(REMEMBERED);
  return {
    idsFor(delivery) {
      const { claim } = delivery;
      if (claim) return deriveIds(claimSeed(claim, claim.attempt));
      return isCounted(delivery)
        ? deriveIds(seed(delivery, deliveryNumber(delivery), delivery.localTry))
        : undefined;
    },
    previous(delivery, traceId, traceFlags) {
      const { message, localTry, attempt, claim } = delivery;
      if (attempt === 1) return undefined;
      if (claim) return link(claimSeed(claim, attempt - 1), traceId, traceFlags);
      const remembered = last.get(message.id);
      if (remembered) return remembered;
      if (localTry > 1 || !isCounted(delivery) || !chosenIdsAreUsed()) return undefined;
      return link(seed(delivery, deliveryNumber(delivery) - 1, 1), traceId, traceFlags);
    },
    remember: ({ message }, span) => last.set(message.id, span),
  };
}

function link(of: string, traceId: string | undefined, traceFlags: TraceFlags): SpanContext {
  const ids = deriveIds(of);
  return { traceId: traceId ?? ids.traceId, spanId: ids.spanId, traceFlags, isRemote: true };
}

/** With an inbox: a run that is taken over from a worker that died is the same attempt, and has the same ids. */
export function claimSeed({ consumer, jobId, redrives }: Claim, attempt: number): string {
  const life = redrives > 0 ? `\nredriven ${redrives}` : '';
  return `${consumer}\n${jobId}\n${attempt}${life}`;
}

function isCounted({ message }: Delivery): boolean {
  return message.deliveryAttempt !== undefined;
}

function deliveryNumber({ message }: Delivery): number {
  return message.deliveryAttempt ?? 1;
}

function seed({ subscription, message }: Delivery, delivery: number, localTry: number): string {
  return `${subscription}\n${message.id}\n${delivery}\n${localTry}`;
}
