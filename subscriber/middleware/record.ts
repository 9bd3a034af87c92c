import { done } from '../../shared/job/outcome.ts';
import { errorMessage } from '../../shared/trace/record-error.ts';
import type { Middleware } from '../delivery.ts';
import { InboxMissingError, WorkerLostError } from '../errors.ts';
import type { Inbox } from '../inbox.ts';
import { tellUnmarkedSend } from '../unmarked-send.ts';
import { handBack, isNoFailure, UNRECORDED_RETRY_MS } from './hand-back.ts';
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
        tellUnmarkedSend(delivery, await inbox.finish(claim, outcome.effects));
      } catch (error) {
        if (isNoFailure(error)) return handBack(errorMessage(error), UNRECORDED_RETRY_MS, error);
        throw error;
      }
    } else if (outcome.effects) {
      throw new InboxMissingError(jobType);
    }
    return done();
  };
}
