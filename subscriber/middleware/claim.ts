import type { Outcome } from '../../shared/job/outcome.ts';
import type { Logger } from '../../shared/log.ts';
import { DatabaseUnavailableError } from '../../shared/storage/database.ts';
import { count } from '../../shared/trace/meters.ts';
import { errorMessage } from '../../shared/trace/record-error.ts';
import { endedSpansSaved, releaseEndedSpans } from '../../shared/trace/release.ts';
import { JOB_NAME } from '../../shared/trace/semconv.ts';
import type { Refusal } from '../claim.ts';
import type { Delivery, Middleware } from '../delivery.ts';
import type { Inbox } from '../inbox.ts';
import { tellUnmarkedSend } from '../unmarked-send.ts';
import { handBack } from './hand-back.ts';

export interface ClaimOptions {
  readonly inbox: Inbox;
  readonly logger: Logger | undefined;
  /** Called with a delivery of a job that is done or dead already: its worker may have died before anyone heard of it. */
  readonly onRepeated: (delivery: Delivery, run: Extract<Refusal, { kind: 'done' | 'dead' }>) => void;
}

/** How soon a delivery comes back that could not be looked up, in ms. */
const UNAVAILABLE_RETRY_MS = 5_000;
/** What is added to the rest of another delivery's claim, in ms. */
const HELD_MARGIN_MS = 250;

/**
 * Lets a delivery run only when it has its job's claim (inbox.ts: I2), and settles the claim as it ends.
 *
 * The outermost layer: a delivery that may not run leaves no process span.
 */
export function claim(options: ClaimOptions): Middleware {
  const { inbox } = options;
  return (next) => async (delivery, signal) => {
    const { registration, jobId, jobType, orderKey } = delivery;
    if (!registration || jobType === undefined) return next(delivery, signal); // a dead letter, whoever gets it
    let claimed: Awaited<ReturnType<Inbox['claim']>>;
    try {
      claimed = await inbox.claim({ jobId, jobType, orderKey, traceparent: traceparentOf(delivery) });
    } catch (error) {
      if (!(error instanceof DatabaseUnavailableError)) throw error;
      return handBack(errorMessage(error), UNAVAILABLE_RETRY_MS);
    }
    if ('kind' in claimed) return refused(options, delivery, claimed);
    try {
      const outcome = await next(
        { ...delivery, attempt: claimed.attempt, claim: claimed },
        inbox.signal(signal),
      );
      if (outcome.kind === 'cancelled') {
        releaseEndedSpans(); // after the commit nobody would run it again to tell them
        await endedSpansSaved();
        tellUnmarkedSend(delivery, await inbox.cancel(claimed, outcome));
      } else if (outcome.kind === 'retry' && outcome.paused) await inbox.pause(claimed);
      else if (outcome.kind === 'retry') await inbox.release(claimed, !outcome.handedBack);
      return outcome;
    } catch (error) {
      await inbox.release(claimed, false); // or it would be renewed for as long as this process lives
      throw error;
    }
  };
}

const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

/** What a stranger wrote instead is not kept. */
function traceparentOf({ message }: Delivery): string | undefined {
  const { traceparent = '' } = message.attributes;
  return TRACEPARENT.test(traceparent) ? traceparent : undefined;
}

function refused(options: ClaimOptions, delivery: Delivery, refusal: Refusal): Outcome {
  const { jobId, registration } = delivery;
  options.logger?.debug({ jobId, refusal: refusal.kind }, 'the delivery may not run');
  if (refusal.kind === 'held') return handBack('another delivery of it runs', refusal.forMs + HELD_MARGIN_MS);
  count('throughline.inbox.duplicates', { [JOB_NAME]: registration?.job.name ?? '', state: refusal.kind });
  if (refusal.kind === 'done' || refusal.kind === 'dead') options.onRepeated(delivery, refusal);
  return refusal.kind === 'cancelled' ? { kind: 'cancelled', by: refusal.reason } : { kind: 'done' };
}
