/** A subscription's retry policy, in milliseconds. */
export interface RetryPolicy {
  readonly minimumBackoffMs: number;
  readonly maximumBackoffMs: number;
}

/** How long a message waits after its `failures`-th failure (from 1). Without a policy: not at all. */
export function backoffMs(policy: RetryPolicy | undefined, failures: number): number {
  if (!policy) return 0;
  // The exponent is capped before the product is, lest it overflow to infinity (and 0 * Infinity to NaN).
  const doublings = Math.min(failures - 1, 30);
  return Math.min(policy.maximumBackoffMs, policy.minimumBackoffMs * 2 ** doublings);
}
