/** When a failed job is tried again, and how often. */
export interface RetryPolicy {
  /** Deliveries that may run the handler, the first included. 1 never retries. */
  readonly maxAttempts: number;
  /** Longest wait after the first failure, in ms; doubled after each further one. */
  readonly minBackoffMs: number;
  /** Upper bound of the wait, in ms; at most 600_000, because Pub/Sub postpones a message no longer. */
  readonly maxBackoffMs: number;
}

export const MAX_BACKOFF_MS = 600_000;

export const DEFAULT_RETRY: RetryPolicy = {
  maxAttempts: 5,
  minBackoffMs: 1_000,
  maxBackoffMs: MAX_BACKOFF_MS,
};

/**
 * The wait before the attempt that follows `attempt` (from 1): exponential, and spread over the upper half of the
 * interval so that jobs which failed together do not return together, yet none returns at once.
 *
 * Shape: a whole number of ms between half the interval and all of it.
 */
export function backoffMs(attempt: number, policy: RetryPolicy, random: () => number = Math.random): number {
  const doublings = Math.min(attempt - 1, 40);
  const interval = Math.min(policy.maxBackoffMs, policy.minBackoffMs * 2 ** doublings);
  return Math.round(interval * (0.5 + random() / 2));
}
