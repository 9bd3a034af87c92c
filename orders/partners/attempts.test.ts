import { expect, test, vi } from 'vitest';
import { withAttempts } from './attempts.ts';
import { PartnerRefusedError, PartnerUnavailableError, type UnavailableOptions } from './errors.ts';

const unavailable = (options: UnavailableOptions) =>
  new PartnerUnavailableError('card', 'not now', { retryAfterMs: 1, ...options });
const lost = () => unavailable({ reason: 'no-answer' });
const unsent = () => unavailable({ reason: 'no-answer', effect: 'none' });
const open = () => unavailable({ reason: 'circuit-open', effect: 'none' });
const refused = () => new PartnerRefusedError('card', 422, 'refused');

/** Fails with each of these in turn, then succeeds. */
async function attempt(failures: readonly Error[], signal?: AbortSignal) {
  const left = [...failures];
  const work = vi.fn(async () => {
    const failure = left.shift();
    if (failure) throw failure;
    return 'done';
  });
  const onRetry = vi.fn();
  const end = await withAttempts({ maxAttempts: 3, signal, onRetry }, work).catch((error) => error);
  return { end, attempts: work.mock.calls.length, onRetry };
}

test('attempts again what may succeed later, and tells of each wait', async () => {
  const { end, attempts, onRetry } = await attempt([lost(), lost()]);
  expect({ end, attempts }).toEqual({ end: 'done', attempts: 3 });
  expect(onRetry.mock.calls.map(([number, waitMs]) => [number, waitMs])).toEqual([
    [1, 1],
    [2, 1],
  ]);
});

test('gives up after the last attempt', async () => {
  const { end, attempts } = await attempt([lost(), lost(), lost(), lost()]);
  expect(end).toBeInstanceOf(PartnerUnavailableError);
  expect(attempts).toBe(3);
});

test('attempts a connection that was refused again, and knows that nothing happened', async () => {
  const { end, attempts } = await attempt([unsent(), unsent(), unsent()]);
  expect(end).toMatchObject({ effect: 'none' });
  expect(attempts).toBe(3);
});

test('waits for no circuit to close', async () => {
  expect(await attempt([open()])).toMatchObject({ end: { effect: 'none' }, attempts: 1 });
});

test('leaves a long wish to whoever can wait', async () => {
  const busy = unavailable({ reason: 'rate-limit', retryAfterMs: 2_001 });
  expect(await attempt([busy])).toMatchObject({ end: { retryAfterMs: 2_001 }, attempts: 1 });
});

test('attempts nothing again that was refused', async () => {
  const { end, attempts } = await attempt([refused()]);
  expect(end).toMatchObject({ effect: 'none', status: 422, retryable: false });
  expect(attempts).toBe(1);
});

test.each([
  ['is refused', refused, PartnerRefusedError],
  ['finds the circuit open', open, PartnerUnavailableError],
  ['reaches nobody', unsent, PartnerUnavailableError],
])('stays in doubt when an answer was lost and the next attempt %s', async (_, failure, type) => {
  const { end } = await attempt([lost(), failure(), failure()]);
  expect(end).toBeInstanceOf(type);
  expect(end).toMatchObject({ effect: 'unknown', message: failure().message });
});

test('stops waiting when its caller does', async () => {
  const controller = new AbortController();
  const busy = unavailable({ reason: 'rate-limit', retryAfterMs: 2_000 });
  const onRetry = () => controller.abort(new Error('the step timed out'));
  const work = withAttempts({ maxAttempts: 3, signal: controller.signal, onRetry }, async () => {
    throw busy;
  });
  await expect(work).rejects.toThrow('the step timed out');
});
