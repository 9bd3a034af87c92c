import fc from 'fast-check';
import { expect, test } from 'vitest';
import { backoffMs, DEFAULT_RETRY } from './retry.ts';

const policies = fc
  .record({
    maxAttempts: fc.integer({ min: 1, max: 1_000 }),
    minBackoffMs: fc.integer({ min: 0, max: 600_000 }),
    more: fc.integer({ min: 0, max: 600_000 }),
  })
  .map(({ more, ...policy }) => ({ ...policy, maxBackoffMs: Math.min(600_000, policy.minBackoffMs + more) }));
const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

test('waits between half the interval and all of it, in whole milliseconds, for any attempt', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 100_000 }), policies, random, (attempt, policy, draw) => {
      const interval = Math.min(policy.maxBackoffMs, policy.minBackoffMs * 2 ** Math.min(attempt - 1, 60));
      const wait = backoffMs(attempt, policy, () => draw);
      expect(Number.isInteger(wait)).toBe(true);
      expect(wait).toBeGreaterThanOrEqual(Math.floor(interval / 2));
      expect(wait).toBeLessThanOrEqual(interval);
    }),
  );
});

test('doubles after each failure until the maximum', () => {
  const longest = [1, 2, 3, 4, 10, 11, 500].map((attempt) => backoffMs(attempt, DEFAULT_RETRY, () => 1));
  expect(longest).toEqual([1_000, 2_000, 4_000, 8_000, 512_000, 600_000, 600_000]);
});

test('jobs that failed together do not return together', () => {
  const waits = Array.from({ length: 20 }, () => backoffMs(5, DEFAULT_RETRY));
  expect(new Set(waits).size).toBeGreaterThan(1);
});
