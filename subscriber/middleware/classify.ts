import { type DeadLetter, isOutcome, type Outcome, type Retry } from '../../shared/job/outcome.ts';
import { backoffMs, DEFAULT_RETRY } from '../../shared/job/retry.ts';
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
  return outcome.kind === 'retry' ? scheduleOrGiveUp(outcome, delivery) : outcome;
};

function checkOutcome(outcome: unknown, delivery: Delivery): Outcome {
  if (isOutcome(outcome)) return outcome;
  return fromError(new HandlerContractError(delivery.jobType ?? 'this job', outcome));
}

function fromError(error: unknown): Retry | DeadLetter {
  const reason = `${errorType(error)}: ${errorMessage(error)}`;
  const { retryable, retryAfterMs } = (error ?? {}) as { retryable?: unknown; retryAfterMs?: unknown };
  if (retryable === false) return { kind: 'deadLetter', reason, error };
  const afterMs = typeof retryAfterMs === 'number' && retryAfterMs >= 0 ? { afterMs: retryAfterMs } : {};
  return { kind: 'retry', reason, error, ...afterMs };
}

function scheduleOrGiveUp(outcome: Retry, { attempt, registration }: Delivery): Outcome {
  const policy = registration?.job.retry ?? DEFAULT_RETRY;
  if (attempt >= policy.maxAttempts) {
    const reason = `gave up after ${attempt} attempts: ${outcome.reason}`;
    return { kind: 'deadLetter', reason, error: outcome.error };
  }
  return { ...outcome, afterMs: outcome.afterMs ?? backoffMs(attempt, policy) };
}

/** Whether an error is the echo of our own abort, in any of the ways in which libraries pass it on. */
function isAbort(error: unknown, signal: AbortSignal): boolean {
  return error === signal.reason || (error instanceof Error && error.name === 'AbortError');
}
