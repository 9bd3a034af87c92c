import { done } from '../../shared/job/outcome.ts';
import { releaseEndedSpans } from '../../shared/trace/release.ts';
import type { Middleware } from '../delivery.ts';
import { InboxMissingError, WorkerLostError } from '../errors.ts';
import type { Inbox } from '../inbox.ts';

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
      releaseEndedSpans(); // after the commit nobody would run this again to tell them
      await inbox.finish(claim, outcome.effects);
    } else if (outcome.effects) {
      throw new InboxMissingError(jobType);
    }
    return done();
  };
}
