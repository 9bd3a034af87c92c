import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createBoundedFlush } from './bounded-flush.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** An exporter that answers when told. */
function createExporter() {
  const flushes: { done(): void; fail(): void }[] = [];
  const flush = () =>
    new Promise<void>((resolve, reject) => {
      flushes.push({ done: resolve, fail: () => reject(new Error('the receiver is away')) });
    });
  return { flushes, flush };
}

/** Whether a promise has settled by now. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  void promise.finally(() => {
    settled = true;
  });
  await vi.advanceTimersByTimeAsync(0);
  return settled;
}

test('resolves once everything has been exported', async () => {
  const { flush, flushes } = createExporter();
  const waiting = createBoundedFlush(flush)();
  expect(await isSettled(waiting)).toBe(false);
  flushes[0]?.done();
  expect(await isSettled(waiting)).toBe(true);
  expect(vi.getTimerCount()).toBe(0);
});

test('callers during a flush share the one after it, which begins after their spans ended', async () => {
  const { flush, flushes } = createExporter();
  const bounded = createBoundedFlush(flush);
  const first = bounded();
  const later = [bounded(), bounded(), bounded()];
  expect(flushes).toHaveLength(1);
  flushes[0]?.done();
  await first;
  await vi.advanceTimersByTimeAsync(0);
  expect(flushes).toHaveLength(2);
  expect(await isSettled(Promise.race(later))).toBe(false);
  flushes[1]?.done();
  await Promise.all(later);
  expect(flushes).toHaveLength(2);
});

test('gives up after a second, and does not wait again for ten', async () => {
  const { flush, flushes } = createExporter();
  const bounded = createBoundedFlush(flush);
  const slow = bounded();
  await vi.advanceTimersByTimeAsync(999);
  expect(await isSettled(slow)).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  await slow;
  await bounded();
  await vi.advanceTimersByTimeAsync(9_999);
  await bounded();
  expect(flushes).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(1);
  const again = bounded();
  flushes[1]?.done();
  await again;
  expect(flushes).toHaveLength(2);
});

test('an exporter that fails is left out for a while, and nobody hears of it here', async () => {
  const { flush, flushes } = createExporter();
  const bounded = createBoundedFlush(flush);
  const failed = bounded();
  flushes[0]?.fail();
  await failed;
  await bounded();
  expect(flushes).toHaveLength(1);
});

test('whoever came during a flush that failed does not wait for another one', async () => {
  const { flush, flushes } = createExporter();
  const bounded = createBoundedFlush(flush);
  const slow = bounded();
  const behind = bounded();
  await vi.advanceTimersByTimeAsync(1_000);
  await Promise.all([slow, behind]);
  expect(flushes).toHaveLength(1);
});
