import { expect, test } from 'vitest';
import { makePlan, TARGETS } from './plan.ts';

const options = { seed: 7, durationMs: 60_000, ordersPerSecond: 5 };

test('the same seed makes the same plan, and another seed another one', () => {
  expect(makePlan(options)).toEqual(makePlan(options));
  expect(makePlan({ ...options, seed: 8 }).acts).not.toEqual(makePlan(options).acts);
});

test('everything that can be broken is broken, in time', () => {
  const { acts, orders } = makePlan(options);
  expect(new Set(acts.map(({ target }) => target))).toEqual(new Set(TARGETS));
  expect(acts.every(({ atMs }) => atMs < options.durationMs)).toBe(true);
  expect(orders.length).toBeGreaterThan(200);
  expect(new Set(orders.map(({ decision }) => decision))).toEqual(new Set(['approve', 'decline', 'ignore']));
});
