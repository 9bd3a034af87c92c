import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { IncomingMessage } from '../shared/pubsub/message-source.ts';
import { createMemorySource, type MemorySource } from '../test/fakes/memory-source.ts';
import { createLeaseKeeper, type LeaseKeeper } from './lease-keeper.ts';

const DEADLINE_MS = 10_000;

let source: MemorySource;
let keeper: LeaseKeeper;
let lost: string[];
beforeEach(async () => {
  vi.useFakeTimers();
  lost = [];
  source = createMemorySource({ ackDeadlineMs: DEADLINE_MS });
  await source.start({ onMessage: (message) => keeper.hold(message), onError: () => {} });
  keeper = keeperWith(60_000);
});
afterEach(() => {
  keeper.stop();
  vi.useRealTimers();
});

function keeperWith(maxLeaseMs: number): LeaseKeeper {
  keeper?.stop();
  return createLeaseKeeper({ source, maxLeaseMs, onLeaseLost: ({ id }) => void lost.push(id) });
}

/** When a message's lease would end, had every extension been for the full deadline. */
async function leaseGaps(message: IncomingMessage, forMs: number): Promise<number[]> {
  const gaps: number[] = [];
  let extendedAtMs = Date.now();
  for (let ms = 0; ms < forMs; ms += 100) {
    const before = source.extensions.length;
    await vi.advanceTimersByTimeAsync(100);
    const extended = source.extensions.slice(before).flat().includes(message.id);
    if (!extended) continue;
    gaps.push(Date.now() - extendedAtMs);
    extendedAtMs = Date.now();
  }
  return gaps;
}

test('never lets the lease of a held message run out, and does not extend it more than needed', async () => {
  const message = source.deliver();
  const gaps = await leaseGaps(message, 55_000);
  expect(gaps.length).toBeGreaterThan(5);
  for (const gap of gaps) {
    expect(gap).toBeLessThan(DEADLINE_MS * 0.8);
    expect(gap).toBeGreaterThanOrEqual(DEADLINE_MS / 4);
  }
});

test('extends many messages with one call', async () => {
  for (let i = 0; i < 5; i++) source.deliver();
  await vi.advanceTimersByTimeAsync(DEADLINE_MS / 2);
  expect(source.extensions).toEqual([['m1', 'm2', 'm3', 'm4', 'm5']]);
});

test('does not extend what was released', async () => {
  const message = source.deliver();
  expect(keeper.release(message)).toBe(true);
  expect(keeper.release(message)).toBe(false);
  await vi.advanceTimersByTimeAsync(DEADLINE_MS * 3);
  expect(source.extensions).toEqual([]);
  expect(keeper.heldCount).toBe(0);
});

test('gives a message up at the maximum, once, and says so', async () => {
  keeper = keeperWith(25_000);
  const message = source.deliver();
  await vi.advanceTimersByTimeAsync(24_000);
  expect(lost).toEqual([]);
  expect(keeper.held()).toEqual([message]);
  await vi.advanceTimersByTimeAsync(DEADLINE_MS);
  expect(lost).toEqual(['m1']);
  expect(keeper.release(message)).toBe(false);
  const { length } = source.extensions;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(source.extensions).toHaveLength(length);
  expect(lost).toEqual(['m1']);
});

test('a redelivery of the same message has a lease of its own', () => {
  const first = source.deliver({ id: 'same' });
  const second = source.deliver({ id: 'same' });
  expect(keeper.heldCount).toBe(2);
  keeper.release(first);
  expect(keeper.held()).toEqual([second]);
});

test('extends nothing after it was stopped, and leaves no timer', async () => {
  source.deliver();
  keeper.stop();
  keeper.stop();
  await vi.advanceTimersByTimeAsync(DEADLINE_MS * 3);
  expect(source.extensions).toEqual([]);
  expect(vi.getTimerCount()).toBe(0);
});
