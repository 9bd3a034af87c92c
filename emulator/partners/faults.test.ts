import { expect, test } from 'vitest';
import { createFaults, type Fault } from './faults.ts';

const call = (orderKey = 'O-1') => ({ partner: 'card', effect: 'redeem', orderKey });

test('strikes only the partner, the effect and the order that it names', () => {
  const faults = createFaults(1);
  faults.add({ kind: 'error', partner: 'card', effect: 'redeem', orderKey: 'O-1' });
  expect(faults.strike(call('O-2')).fault).toBeUndefined();
  expect(faults.strike({ ...call(), effect: 'reactivate' }).fault).toBeUndefined();
  expect(faults.strike({ ...call(), partner: 'mail' }).fault).toBeUndefined();
  expect(faults.strike(call()).fault?.kind).toBe('error');
});

test('strikes as often as it was told, and then the next one does', () => {
  const faults = createFaults(1);
  faults.add({ kind: 'error', times: 2 });
  faults.add({ kind: 'reset', times: 1 });
  const kinds = [1, 2, 3, 4].map(() => faults.strike(call()).fault?.kind);
  expect(kinds).toEqual(['error', 'error', 'reset', undefined]);
});

test('makes a call slow and lets it fail as well', () => {
  const faults = createFaults(1);
  faults.add({ kind: 'latency', latencyMs: 40 });
  faults.add({ kind: 'error', times: 1 });
  expect(faults.strike(call())).toMatchObject({ latencyMs: 40, fault: { kind: 'error' } });
  expect(faults.strike(call())).toEqual({ latencyMs: 40, fault: undefined });
});

test('strikes nothing any more once cleared', () => {
  const faults = createFaults(1);
  faults.add({ kind: 'error' });
  faults.clear();
  expect(faults.strike(call()).fault).toBeUndefined();
});

const half: Fault = { kind: 'error', rate: 0.5 };
const orders = Array.from({ length: 400 }, (_, index) => `O-${index}`);

/** Which orders are struck when they arrive in this order. */
function struck(seed: number, arriving: readonly string[]): Set<string> {
  const faults = createFaults(seed);
  faults.add(half);
  return new Set(arriving.filter((orderKey) => faults.strike(call(orderKey)).fault));
}

test('strikes by chance about as often as its rate says', () => {
  expect(struck(7, orders).size).toBeGreaterThan(150);
  expect(struck(7, orders).size).toBeLessThan(250);
});

test('strikes the same calls with the same seed, in whatever order they come', () => {
  expect(struck(7, orders.toReversed())).toEqual(struck(7, orders));
  expect(struck(8, orders)).not.toEqual(struck(7, orders));
});

test('draws anew for each repetition of a call, so that none fails for ever', () => {
  const faults = createFaults(1);
  faults.add(half);
  const kinds = new Set(Array.from({ length: 40 }, () => faults.strike(call()).fault?.kind));
  expect(kinds).toEqual(new Set(['error', undefined]));
});
