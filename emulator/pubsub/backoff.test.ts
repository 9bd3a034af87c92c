import { expect, test } from 'vitest';
import { backoffMs } from './backoff.ts';

const policy = { minimumBackoffMs: 1_000, maximumBackoffMs: 10_000 };

test('doubles from the minimum to the maximum', () => {
  expect([1, 2, 3, 4, 5].map((failures) => backoffMs(policy, failures))).toEqual([
    1_000, 2_000, 4_000, 8_000, 10_000,
  ]);
});

test('stays at the maximum however often a message failed', () => {
  expect(backoffMs(policy, 10_000)).toBe(10_000);
});

test('does not wait without a policy, nor with a minimum of 0', () => {
  expect(backoffMs(undefined, 3)).toBe(0);
  expect(backoffMs({ minimumBackoffMs: 0, maximumBackoffMs: 600_000 }, 5_000)).toBe(0);
});
