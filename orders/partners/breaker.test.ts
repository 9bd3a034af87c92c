import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createBreaker } from './breaker.ts';
import { PartnerUnavailableError } from './errors.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const fail = async (): Promise<never> => {
  throw new PartnerUnavailableError('card', 'out of order', { reason: 'error' });
};
const succeed = async () => 'done';
const ended = (work: Promise<unknown>) => work.catch((error) => error);

async function opened() {
  const breaker = createBreaker('card', { breakAfterFailures: 2, breakMs: 1_000 });
  await ended(breaker.run(fail));
  await ended(breaker.run(fail));
  return breaker;
}

test('opens after so many failures in a row, and then asks nobody', async () => {
  const breaker = await opened();
  vi.advanceTimersByTime(400);
  const work = vi.fn(succeed);
  const error = await ended(breaker.run(work));
  expect(work).not.toHaveBeenCalled();
  expect(error).toBeInstanceOf(PartnerUnavailableError);
  expect(error).toMatchObject({
    reason: 'circuit-open',
    effect: 'none',
    retryable: true,
    retryAfterMs: 600,
  });
});

test('stays closed while successes come between the failures', async () => {
  const breaker = createBreaker('card', { breakAfterFailures: 2 });
  for (const work of [fail, succeed, fail, succeed, fail]) await ended(breaker.run(work));
  expect(await breaker.run(succeed)).toBe('done');
});

test('closes when the one call that it lets through succeeds', async () => {
  const breaker = await opened();
  vi.advanceTimersByTime(1_000);
  expect(await breaker.run(succeed)).toBe('done');
  await ended(breaker.run(fail));
  expect(await breaker.run(succeed)).toBe('done');
});

test('opens again when the one call that it lets through fails', async () => {
  const breaker = await opened();
  vi.advanceTimersByTime(1_000);
  expect(await ended(breaker.run(fail))).toMatchObject({ reason: 'error' });
  expect(await ended(breaker.run(succeed))).toMatchObject({ reason: 'circuit-open', retryAfterMs: 1_000 });
});

test('does not close because the one call that it lets through was cut short by its caller', async () => {
  const breaker = await opened();
  vi.advanceTimersByTime(1_000);
  const cutShort = new Error('the step timed out');
  expect(await ended(breaker.run(() => Promise.reject(cutShort)))).toBe(cutShort);
  expect(await ended(breaker.run(succeed))).toMatchObject({ reason: 'circuit-open' });
});
