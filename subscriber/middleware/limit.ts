import { RateClosedError } from '../../shared/rate/errors.ts';
import { DatabaseUnavailableError } from '../../shared/storage/database.ts';
import { errorMessage } from '../../shared/trace/record-error.ts';
import type { Delivery, Middleware } from '../delivery.ts';
import type { Fences } from '../fence.ts';
import { factsOf } from '../fence.ts';
import type { Inbox } from '../inbox.ts';
import { LimitedError, LimitKeyError, UnknownLimitError } from '../limits/errors.ts';
import type { Limits } from '../limits/limits.ts';
import { handBack } from './hand-back.ts';

export interface LimitOptions {
  readonly limits: Limits;
  readonly inbox: Inbox;
  readonly fences: Fences | undefined;
}

/** How soon a delivery comes back whose limits could not be looked up, in ms. */
const UNAVAILABLE_RETRY_MS = 5_000;

/**
 * Lets a job run only when its limits have room for it (limits.ts: L3, L4).
 *
 * Inside the claim, on which its slots hang, and outside the process span. A job that a fence cancels needs no room.
 */
export function limit({ limits, inbox, fences }: LimitOptions): Middleware {
  return (next) => async (delivery, signal) => {
    const { registration, claim } = delivery;
    if (!claim || !registration || registration.limits.length === 0) return next(delivery, signal);
    if (fences && isCancelled(fences, delivery)) return next(delivery, signal);
    let entered: Awaited<ReturnType<Limits['enter']>>;
    try {
      entered = await limits.enter(delivery, inbox);
    } catch (error) {
      if (error instanceof RateClosedError) return handBack(errorMessage(error), 0); // the worker is stopping
      if (error instanceof DatabaseUnavailableError || error instanceof UnknownLimitError)
        return handBack(errorMessage(error), UNAVAILABLE_RETRY_MS);
      if (error instanceof LimitKeyError) return next(failing(delivery, error), signal);
      throw error;
    }
    if (entered instanceof LimitedError)
      return { ...handBack(entered.message, limits.retryMs, entered), paused: 'kept' };
    try {
      return await next(delivery, signal);
    } finally {
      await entered.leave();
    }
  };
}

/** Its handler fails, so that what becomes of it is told as for every other failure. */
function failing(delivery: Delivery, error: Error): Delivery {
  const { registration } = delivery;
  if (!registration) return delivery;
  return { ...delivery, registration: { ...registration, run: () => Promise.reject(error) } };
}

function isCancelled(fences: Fences, delivery: Delivery): boolean {
  try {
    return fences.find(factsOf(delivery))?.action === 'cancel';
  } catch {
    return false; // they are not known: the layer inside sees to it
  }
}
