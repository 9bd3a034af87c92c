import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { atMost, inTime } from './time-limit.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const never = new Promise<string>(() => {});

it('gives what the work gives, and leaves no timer', async () => {
  expect(await inTime(Promise.resolve('done'), 1_000, () => 'late')).toBe('done');
  await expect(inTime(Promise.reject(new Error('failed')), 1_000, () => 'late')).rejects.toThrow('failed');
  expect(vi.getTimerCount()).toBe(0);
});

it('after the time gives what is said for it, be it an error', async () => {
  const late = inTime(never, 1_000, () => 'late');
  const failed = inTime(never, 1_000, () => {
    throw new Error('too late');
  });
  const told = expect(failed).rejects.toThrow('too late');
  await vi.advanceTimersByTimeAsync(999);
  expect(vi.getTimerCount()).toBe(2);
  await vi.advanceTimersByTimeAsync(1);
  expect(await late).toBe('late');
  await told;
  expect(vi.getTimerCount()).toBe(0);
});

it('waits at most so long', async () => {
  const waited = atMost(1_000, never);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(await waited).toBeUndefined();
});
