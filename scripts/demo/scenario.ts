import { z } from 'zod';
import { type Order, orderSchema } from '../../orders/order.ts';

/** An order to place, the partners' faults that it will meet, and how it shall end if that is known. */
export interface Scenario {
  readonly order: Order;
  readonly faults: readonly FaultSpec[];
  /** Said in the headline. */
  readonly title: string;
  readonly expected:
    | { readonly outcome: 'confirmed' | 'compensated'; readonly setUpAttempts: number }
    | undefined;
}

const faultSpec = z.strictObject({
  partner: z.enum(['card', 'payment', 'workspace', 'mail']),
  effect: z.string().min(1),
  /** How often the partner fails, or `always`. */
  times: z.union([z.int().min(1), z.literal('always')]).default('always'),
  /** 5xx and 429 are retried, other 4xx are final. */
  status: z.int().min(400).max(599).default(503),
});
type FaultSpec = z.infer<typeof faultSpec>;

/** A line of an order file. */
export const orderLineSchema = z.strictObject({
  ...orderSchema.shape,
  faults: z.array(faultSpec).max(20).default([]),
});

/** The three orders of the demo. `run` makes their keys new, so that an emulator may be used again. */
export function demoScenarios(run: string): Scenario[] {
  const order = (number: number): Order => ({
    orderKey: `O-${run}-${number}`,
    domain: `shop-${number}.example`,
    email: `owner@shop-${number}.example`,
  });
  const setUpFails = (times: number | 'always', status: number) => [
    { partner: 'workspace' as const, effect: 'set-up', times, status },
  ];
  return [
    {
      title: 'the set-up succeeds',
      order: order(1),
      faults: [],
      expected: { outcome: 'confirmed', setUpAttempts: 1 },
    },
    {
      title: 'the set-up fails for good and is compensated',
      order: order(2),
      faults: setUpFails('always', 503),
      expected: { outcome: 'compensated', setUpAttempts: 3 },
    },
    {
      title: 'the set-up fails twice, then succeeds',
      order: order(3),
      faults: setUpFails(2, 503),
      expected: { outcome: 'confirmed', setUpAttempts: 3 },
    },
  ];
}
