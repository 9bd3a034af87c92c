import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { deadLetter, done, type Outcome } from '../../shared/job/outcome.ts';
import { deliveryOf } from '../../test/fakes/delivery.ts';
import { HandlerTimeoutError } from '../errors.ts';
import { timeout } from './timeout.ts';

const job = { name: 'mail.send', version: 1, topic: 'jobs', payload: z.unknown(), timeoutMs: 5_000 };
const delivery = deliveryOf(job);

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => vi.useRealTimers());

/** Runs a handler under the time-out and tells how it ended so far. */
function running(
  handler: (signal: AbortSignal) => Promise<Outcome>,
  { signal = new AbortController().signal, of = delivery } = {},
) {
  const state: { ended?: unknown; seen?: AbortSignal } = {};
  const result = timeout((_delivery, given) => {
    state.seen = given;
    return handler(given);
  })(of, signal);
  result.then(
    (outcome) => {
      state.ended = outcome;
    },
    (error) => {
      state.ended = error;
    },
  );
  return state;
}

const never = () => new Promise<Outcome>(() => {});

/** A handler that heeds its signal `noticeMs` after the abort. */
function heeding(end: () => Promise<Outcome>, noticeMs = 0) {
  return (signal: AbortSignal) =>
    new Promise<Outcome>((resolve, reject) => {
      signal.addEventListener('abort', () => setTimeout(() => end().then(resolve, reject), noticeMs));
    });
}

test('lets a handler that is in time alone and leaves no timer', async () => {
  const state = running(async () => deadLetter('x'));
  await vi.advanceTimersByTimeAsync(0);
  expect(state.ended).toEqual(deadLetter('x'));
  expect(vi.getTimerCount()).toBe(0);
  expect(state.seen?.aborted).toBe(false);
});

test('aborts the signal after the time-out, with the error as its reason', async () => {
  const state = running(never);
  await vi.advanceTimersByTimeAsync(4_999);
  expect(state.seen?.aborted).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  expect(state.seen?.reason).toBeInstanceOf(HandlerTimeoutError);
  expect(state.ended).toBeUndefined();
});

test('leaves a handler behind that does not heed its signal within a second', async () => {
  const state = running(never);
  await vi.advanceTimersByTimeAsync(5_999);
  expect(state.ended).toBeUndefined();
  await vi.advanceTimersByTimeAsync(1);
  expect(state.ended).toMatchObject({ code: 'HANDLER_TIMEOUT', timeoutMs: 5_000, retryable: true });
  expect(String(state.ended)).toContain('mail.send.v1');
});

test.each([
  ['rejects with the reason of the abort', async (signal: AbortSignal) => Promise.reject(signal.reason)],
  ['rejects with an error of its library', async () => Promise.reject(new DOMException('x', 'AbortError'))],
])('a handler that %s fails with the time-out, as soon as it has noticed', async (_what, end) => {
  const state = running((signal) => heeding(() => end(signal), 300)(signal));
  await vi.advanceTimersByTimeAsync(5_299);
  expect(state.ended).toBeUndefined();
  await vi.advanceTimersByTimeAsync(1);
  expect(state.ended).toMatchObject({ code: 'HANDLER_TIMEOUT' });
  expect(vi.getTimerCount()).toBe(0);
});

test('an outcome that comes within that second still counts: the work is done', async () => {
  const state = running(heeding(async () => done(), 500));
  await vi.advanceTimersByTimeAsync(5_500);
  expect(state.ended).toEqual(done());
});

test('a handler that was left behind may fail later without harm', async () => {
  const state = running(heeding(() => Promise.reject(new Error('late')), 60_000));
  await vi.advanceTimersByTimeAsync(120_000);
  expect(state.ended).toMatchObject({ code: 'HANDLER_TIMEOUT' });
});

test("passes on the worker's own abort, before and while it runs", async () => {
  const stopping = new AbortController();
  const state = running(never, { signal: stopping.signal });
  const reason = new Error('stopping');
  stopping.abort(reason);
  expect(state.seen?.reason).toBe(reason);
  expect(running(never, { signal: stopping.signal }).seen?.reason).toBe(reason);
});

test('one handler that times out does not abort another', async () => {
  const { signal } = new AbortController();
  const slow = deliveryOf({ ...job, timeoutMs: 60_000 });
  const [first, second] = [running(never, { signal }), running(never, { signal, of: slow })];
  await vi.advanceTimersByTimeAsync(6_000);
  expect([first.seen?.aborted, second.seen?.aborted]).toEqual([true, false]);
});

test('sets no time-out where no handler is known', async () => {
  const unknown = deliveryOf(job, { registration: undefined });
  running(never, { of: unknown });
  expect(vi.getTimerCount()).toBe(0);
});
