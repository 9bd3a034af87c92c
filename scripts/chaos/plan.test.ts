import { expect, test } from 'vitest';
import { makePlan, PROCESSES } from './plan.ts';

const LENGTH_MS = 60_000;

test('the same seed makes the same plan, and another seed another one', () => {
  expect(makePlan(7, LENGTH_MS)).toEqual(makePlan(7, LENGTH_MS));
  expect(makePlan(8, LENGTH_MS).blows).not.toEqual(makePlan(7, LENGTH_MS).blows);
});

test('everything that can be taken away is taken away in a minute, and everything that customers do is done', () => {
  const { blows, orders, faults } = makePlan(7, LENGTH_MS);
  expect(new Set(blows.map(({ target }) => target))).toEqual(new Set([...PROCESSES, 'emulator', 'postgres']));
  expect(blows.every(({ atMs }) => atMs < LENGTH_MS)).toBe(true);
  expect(new Set(orders.map(({ atBank }) => atBank))).toEqual(
    new Set([undefined, 'approve', 'decline', 'ignore']),
  );
  expect(new Set(faults.map(({ kind }) => kind))).toEqual(
    new Set(['refuse', 'lost-answer', 'reset', 'error', 'rate-limit', 'latency']),
  );
});
