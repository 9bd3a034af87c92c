import { propagation, ROOT_CONTEXT } from '@opentelemetry/api';
import { expect, test } from 'vitest';
import { allowedBaggage, orderAttributes, orderKeyOf, withOrderKey } from './order-key.ts';

test('a context bears the order key, and the saga id when there is one', () => {
  expect(orderAttributes(withOrderKey(ROOT_CONTEXT, 'o', 's'))).toEqual({
    'order.event_id': 'o',
    'saga.id': 's',
  });
  expect(orderAttributes(withOrderKey(ROOT_CONTEXT, 'o'))).toEqual({ 'order.event_id': 'o' });
  expect(orderAttributes(ROOT_CONTEXT)).toEqual({});
  expect(orderKeyOf(ROOT_CONTEXT)).toBeUndefined();
});

test('a second order key replaces the first and leaves the saga id and foreign baggage', () => {
  const foreign = propagation.setBaggage(ROOT_CONTEXT, propagation.createBaggage({ tenant: { value: 't' } }));
  const context = withOrderKey(withOrderKey(foreign, 'first', 'saga'), 'second');
  expect(orderAttributes(context)).toEqual({ 'order.event_id': 'second', 'saga.id': 'saga' });
  expect(propagation.getBaggage(context)?.getEntry('tenant')?.value).toBe('t');
});

test('nothing but the two keys is copied from baggage', () => {
  const baggage = propagation.createBaggage({ password: { value: 'p' }, 'saga.id': { value: 's' } });
  expect(orderAttributes(propagation.setBaggage(ROOT_CONTEXT, baggage))).toEqual({ 'saga.id': 's' });
});

test('a value of 256 characters may cross and one of 257 may not', () => {
  const crossing = (length: number) =>
    allowedBaggage(propagation.createBaggage({ k: { value: 'x'.repeat(length) } }), ['k']);
  expect(crossing(256)?.getEntry('k')?.value).toHaveLength(256);
  expect(crossing(257)).toBeUndefined();
});

test('the members cross in the order of the list, however they were set', () => {
  const baggage = propagation.createBaggage({ b: { value: '2' }, c: { value: '3' }, a: { value: '1' } });
  expect(
    allowedBaggage(baggage, ['a', 'b'])
      ?.getAllEntries()
      .map(([key]) => key),
  ).toEqual(['a', 'b']);
});
