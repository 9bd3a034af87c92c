import { type DeadLetter, isOutcome, type Outcome, type Retry } from '../../shared/job/outcome.ts';
import { backoffMs, DEFAULT_RETRY, MAX_BACKOFF_MS } from '../../shared/job/retry.ts';
import { errorMessage, errorType } from '../../shared/trace/record-error.ts';
import type { Delivery, Middleware } from '../delivery.ts';
import { HandlerContractError } from '../errors.ts';

/**
 * Turns whatever a handler does into an outcome that can be acted on.
 *
 * - a thrown error that says `retryable: false` is a dead letter, any other one a retry
 * - an error's own `retryAfterMs` (a partner's `Retry-After`) is obeyed, else the job's backoff applies
 * - a retry after the job's last attempt is a dead letter
 */
export const classify: Middleware = (next) => async (delivery, signal) => {
  let outcome: Outcome;
  try {
    outcome = checkOutcome(await next(delivery, signal), delivery);
  } catch (error) {
    if (signal.aborted && isAbort(error, signal)) {
      return { kind: 'retry', afterMs: 0, reason: errorMessage(error), error, handedBack: true };
    }
    outcome = fromError(error);
  }
  return outcome.kind === 'retry' && !outcome.handedBack ? scheduleOrGiveUp(outcome, delivery) : outcome;
};

function checkOutcome(outcome: unknown, delivery: Delivery): Outcome {
  if (isOutcome(outcome)) return outcome;
  return fromError(new HandlerContractError(delivery.jobType ?? 'this job', outcome));
}

function fromError(error: unknown): Retry | DeadLetter {
  const reason = `${errorType(error)}: ${errorMessage(error)}`;
  const { retryable, retryAfterMs } = (error ?? {}) as { retryable?: unknown; retryAfterMs?: unknown };
  if (retryable === false) return { kind: 'deadLetter', reason, error };
  return { kind: 'retry', reason, error, ...(typeof retryAfterMs === 'number' && { afterMs: retryAfterMs }) };
}

function scheduleOrGiveUp(outcome: Retry, { attempt, registration }: Delivery): Outcome {
  const policy = registration?.job.retry ?? DEFAULT_RETRY;
  if (attempt >= policy.maxAttempts) {
    const reason = `gave up after ${attempt} attempts: ${outcome.reason}`;
    return { kind: 'deadLetter', reason, error: outcome.error };
  }
  const { afterMs = Number.NaN } = outcome;
  return {
    ...outcome,
    afterMs: afterMs >= 0 ? Math.min(afterMs, MAX_BACKOFF_MS) : backoffMs(attempt, policy),
  };
}

/** Whether an error is the echo of our own abort, in any of the ways in which libraries pass it on or wrap it. */
function isAbort(error: unknown, signal: AbortSignal): boolean {
  let cause = error;
  for (let depth = 0; depth < MAX_CAUSES && cause instanceof Error; depth++) {
    if (cause === signal.reason || cause.name === 'AbortError') return true;
    cause = cause.cause;
  }
  return false;
}

/** Causes can go in a circle. */
const MAX_CAUSES = 10;
