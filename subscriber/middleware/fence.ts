import { trace } from '@opentelemetry/api';
import { describeTarget, type Fence } from '../../shared/fence/fence.ts';
import type { Cancelled, Outcome } from '../../shared/job/outcome.ts';
import { spanContextOf } from '../../shared/trace/carrier.ts';
import { links, linkTo } from '../../shared/trace/links.ts';
import {
  FENCE_ACTION,
  FENCE_ACTOR,
  FENCE_ID,
  FENCE_REASON,
  FENCE_TARGET,
} from '../../shared/trace/semconv.ts';
import type { Delivery, Middleware } from '../delivery.ts';
import { FencedError } from '../errors.ts';
import { type Fences, factsOf, type Watched } from '../fence.ts';
import { countFenced } from '../fence-metrics.ts';
import { pausedBy } from './pause.ts';
import { follow } from './timeout.ts';

/**
 * Cancels a job that a fence cancels, before it runs and while it does, and gives its handler `checkFence`.
 *
 * Inside the process span, which tells the fence; outside the record of done jobs and inside classification, so that what a
 * fence stopped is neither a failure nor an attempt. A handler that says `done` all the same has finished: what it did
 * outside has happened, and the record shall say so.
 */
export function fence(fences: Fences): Middleware {
  return (next) => async (delivery, signal) => {
    if (!delivery.claim) return next(delivery, signal);
    const facts = factsOf(delivery);
    const own = new AbortController();
    const unfollow = follow(signal, own);
    const watched = fences.watch(facts, (error) => own.abort(error));
    try {
      watched.check();
      const outcome = await next({ ...delivery, checkFence: watched.check }, own.signal);
      return isOver(outcome) ? outcome : (stopped(fences, delivery, watched, outcome) ?? outcome);
    } catch (error) {
      const outcome = stopped(fences, delivery, watched);
      if (!outcome) throw error;
      return outcome;
    } finally {
      watched.end();
      unfollow();
    }
  };
}

/** Not checked yet: it may be anything. */
function isOver(outcome: Outcome | undefined): boolean {
  return outcome?.kind === 'done' || outcome?.kind === 'cancelled';
}

/** What becomes of a run that a fence stopped; undefined: none did, or the handler's own word stands. */
function stopped(
  fences: Fences,
  delivery: Delivery,
  { stopped: error }: Watched,
  outcome?: Outcome,
): Outcome | undefined {
  if (error instanceof FencedError && error.fence.action === 'cancel') {
    return cancelledBy(delivery, error.fence);
  }
  if (outcome?.kind === 'deadLetter') return undefined;
  return error && pausedBy(fences, delivery, error);
}

function cancelledBy(delivery: Delivery, { id, action, target, actor, reason, carrier }: Fence): Cancelled {
  countFenced(delivery, 'cancel');
  const span = trace.getActiveSpan();
  span?.setAttributes({
    [FENCE_ID]: id,
    [FENCE_ACTION]: action,
    [FENCE_TARGET]: describeTarget(target),
    [FENCE_ACTOR]: actor,
    [FENCE_REASON]: reason,
  });
  span?.addLinks(links(linkTo(spanContextOf(carrier), 'caused-by')));
  return { kind: 'cancelled', by: actor, reason, fenceId: id };
}
