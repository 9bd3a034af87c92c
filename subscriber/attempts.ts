import type { SpanContext, TraceFlags } from '@opentelemetry/api';
import { chosenIdsAreUsed, deriveIds, type SpanIds } from '../shared/trace/span-ids.ts';
import type { Delivery } from './delivery.ts';
import { RecentMap } from './recent-map.ts';

/**
 * The process spans of a message's attempts, known without storage.
 *
 * An attempt's ids follow from subscription, message, delivery and local try. Whichever worker gets attempt n+1 can thus
 * tell the span of attempt n, even when the process that ran it is gone. (If that process was killed, its span was never
 * exported, and the link names a span that nobody will see: which is the truth.)
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
      return isCounted(delivery)
        ? deriveIds(seed(delivery, deliveryNumber(delivery), delivery.localTry))
        : undefined;
    },
    previous(delivery, traceId, traceFlags) {
      const { message, localTry, attempt } = delivery;
      if (attempt === 1) return undefined;
      const remembered = last.get(message.id);
      if (remembered) return remembered;
      if (localTry > 1 || !isCounted(delivery) || !chosenIdsAreUsed()) return undefined;
      const before = deriveIds(seed(delivery, deliveryNumber(delivery) - 1, 1));
      return { traceId: traceId ?? before.traceId, spanId: before.spanId, traceFlags, isRemote: true };
    },
    remember: ({ message }, span) => last.set(message.id, span),
  };
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
