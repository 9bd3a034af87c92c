import { expect, test } from 'vitest';
import { incoming } from '../test/fakes/delivery.ts';
import { createDeliveryCounter } from './delivery-counter.ts';

test("takes Pub/Sub's own count where there is one", () => {
  const { numberOf } = createDeliveryCounter();
  expect(numberOf(incoming({ deliveryAttempt: 4 }))).toBe(4);
  expect(numberOf(incoming({ deliveryAttempt: 4 }))).toBe(4);
});

test('else counts how often this process has seen each message', () => {
  const { numberOf } = createDeliveryCounter();
  const seen = ['a', 'b', 'a', 'a', 'b'].map((id) => numberOf(incoming({ id })));
  expect(seen).toEqual([1, 1, 2, 3, 2]);
});

test('forgets old messages rather than growing for ever', () => {
  const { numberOf } = createDeliveryCounter();
  numberOf(incoming({ id: 'first' }));
  for (let i = 0; i < 30_000; i++) numberOf(incoming({ id: `m${i}` }));
  expect(numberOf(incoming({ id: 'first' }))).toBe(1);
  expect(numberOf(incoming({ id: 'm29999' }))).toBe(2);
});

test('tries that were made here are counted when the message comes back', () => {
  const { numberOf, tried } = createDeliveryCounter();
  tried(incoming({ id: 'a' }), 4);
  expect(numberOf(incoming({ id: 'a', deliveryAttempt: 2 }))).toBe(5);
  expect(numberOf(incoming({ id: 'a', deliveryAttempt: 7 }))).toBe(7);
  tried(incoming({ id: 'b' }), 4);
  expect(numberOf(incoming({ id: 'b' }))).toBe(5);
});
