import { expect, test } from 'vitest';
import { z } from 'zod';
import { done } from '../shared/job/outcome.ts';
import { deliveryOf } from '../test/fakes/delivery.ts';
import { compose, type Middleware } from './delivery.ts';

test('the first layer sees the delivery first and the outcome last', async () => {
  const seen: string[] = [];
  const layer = (name: string): Middleware => {
    return (next) => async (delivery, signal) => {
      seen.push(`${name} in`);
      const outcome = await next(delivery, signal);
      seen.push(`${name} out`);
      return outcome;
    };
  };
  const handler = compose(
    layer('a'),
    compose(layer('b')),
    compose(),
  )(async () => {
    seen.push('handler');
    return done();
  });
  const delivery = deliveryOf({ name: 'x', version: 1, topic: 't', payload: z.unknown() });
  expect(await handler(delivery, new AbortController().signal)).toEqual(done());
  expect(seen).toEqual(['a in', 'b in', 'handler', 'b out', 'a out']);
});
