import type { Retry } from '../../shared/job/outcome.ts';
import type { Delivery, Middleware } from '../delivery.ts';
import { FencedError, FencesUnknownError } from '../errors.ts';
import { type Fences, factsOf } from '../fence.ts';
import { countFenced } from '../fence-metrics.ts';
import { handBack } from './hand-back.ts';

/**
 * Keeps a job from running while a fence pauses it, or while the fences are not known (fence.ts: F4).
 *
 * Between claim and process span: a job that only waits leaves no spans, and uses up no attempt.
 */
export function pause(fences: Fences): Middleware {
  return (next) => async (delivery, signal) => {
    const error = delivery.claim && pausing(fences, delivery);
    return error ? pausedBy(fences, delivery, error) : next(delivery, signal);
  };
}

function pausing(fences: Fences, delivery: Delivery): FencedError | FencesUnknownError | undefined {
  try {
    const fence = fences.find(factsOf(delivery));
    return fence?.action === 'pause' ? new FencedError(fence) : undefined;
  } catch (error) {
    if (error instanceof FencesUnknownError) return error;
    throw error;
  }
}

/** A delivery that waits for its fence to be lifted, or until it is known again whether one stops it. */
export function pausedBy(
  { pausedRetryMs }: Fences,
  delivery: Delivery,
  error: FencedError | FencesUnknownError,
): Retry {
  countFenced(delivery, error instanceof FencedError ? 'pause' : 'unknown');
  return { ...handBack(error.message, pausedRetryMs, error), paused: 'kept' };
}
