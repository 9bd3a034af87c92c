import { done, type Retry } from '../../shared/job/outcome.ts';
import { DatabaseUnavailableError } from '../../shared/storage/database.ts';
import { errorMessage } from '../../shared/trace/record-error.ts';
import type { Middleware } from '../delivery.ts';
import { ClaimLostError, InboxMissingError, WorkerLostError } from '../errors.ts';
import type { Inbox } from '../inbox.ts';
import { tellBefore } from './tracing.ts';

/** Records a job as done, together with its effects (inbox.ts: I1), inside its process span. */
export function record(inbox: Inbox | undefined): Middleware {
  return (next) => async (delivery, signal) => {
    const { claim, registration, jobType = 'this job' } = delivery;
    if (claim && registration && claim.lost >= registration.job.retry.maxAttempts) {
      throw new WorkerLostError(jobType, claim.lost);
    }
    const outcome = await next(delivery, signal);
    if (outcome?.kind !== 'done') return outcome;
    if (inbox && claim) {
      await tellBefore(done());
      try {
        await inbox.finish(claim, outcome.effects);
      } catch (error) {
        if (isNoFailure(error)) return handBack(error);
        throw error;
      }
    } else if (outcome.effects) {
      throw new InboxMissingError(jobType);
    }
    return done();
  };
}

/**
 * Another delivery has the job by now, or the database was away before anything was begun: the job itself did not fail. (A
 * connection that is lost while its effects are written may be their doing, and counts.)
 */
function isNoFailure(error: unknown): boolean {
  if (error instanceof ClaimLostError) return true;
  return error instanceof DatabaseUnavailableError && !error.outcomeUnknown;
}

function handBack(error: unknown): Retry {
  return { kind: 'retry', reason: errorMessage(error), error, afterMs: HANDED_BACK_FOR_MS, handedBack: true };
}

const HANDED_BACK_FOR_MS = 1_000;
