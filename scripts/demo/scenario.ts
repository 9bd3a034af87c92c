import { z } from 'zod';
import { type OrderRequest, orderKeySchema, orderSchema } from '../../orders/order.ts';

/** An order to place, what will happen to it, and how it shall end if that is known. */
export interface Scenario {
  readonly order: OrderRequest & { readonly orderKey: string };
  readonly faults: readonly FaultSpec[];
  /** What the customer does at the bank's page, when the payment needs 3-D Secure. */
  readonly decision: 'approve' | 'decline' | 'ignore';
  /** The worker is killed while it sets the workspace up. */
  readonly killsWorker?: boolean;
  /** Said in the headline. */
  readonly title: string;
  readonly expected: Expected | undefined;
}

export interface Expected {
  readonly outcome: 'confirmed' | 'compensated';
  /** Of the set-up job. */
  readonly setUpAttempts?: number;
  readonly compensations?: readonly string[];
}

const faultSpec = z.strictObject({
  partner: z.enum(['account', 'card', 'payment', 'registrar', 'workspace', 'mail']),
  effect: z.string().min(1),
  /** `lost-answer`: it happened, and nobody was told. `reset`: the connection broke before. */
  kind: z.enum(['error', 'refuse', 'rate-limit', 'reset', 'lost-answer', 'latency']).default('error'),
  /** How often it strikes, or `always`. */
  times: z.union([z.int().min(1), z.literal('always')]).default('always'),
  status: z.int().min(400).max(599).optional(),
  latencyMs: z.int().min(1).max(60_000).optional(),
});
export type FaultSpec = z.infer<typeof faultSpec>;

/** A line of an order file. */
export const orderLineSchema = z.strictObject({
  ...orderSchema.shape,
  orderKey: orderKeySchema,
  faults: z.array(faultSpec).max(20).default([]),
  decision: z.enum(['approve', 'decline', 'ignore']).default('approve'),
});

/** Enough users that the bank wants to see the customer. */
const LARGE = [{ sku: 'workspace-standard' as const, quantity: 5 }];

/** The orders of the demo. `run` makes their keys new, so that an emulator and a database may be used again. */
export function demoScenarios(run: string): Scenario[] {
  const order = (number: number) => ({
    orderKey: `O-${run}-${number}`,
    domain: `shop-${number}.example`,
    email: `owner@shop-${number}.example`,
  });
  const usual = { faults: [], decision: 'approve' } as const;
  return [
    {
      ...usual,
      title: 'the customer approves the payment at the bank (3-D Secure)',
      order: { ...order(1), items: LARGE },
      expected: { outcome: 'confirmed', setUpAttempts: 1 },
    },
    {
      ...usual,
      title: 'the customer declines the payment at the bank',
      order: { ...order(2), items: LARGE },
      decision: 'decline',
      expected: {
        outcome: 'compensated',
        compensations: ['settle-payment', 'create-contract', 'redeem-card'],
      },
    },
    {
      ...usual,
      title: 'the workspace cannot be set up, and everything before it is undone',
      order: order(3),
      faults: [{ partner: 'workspace', effect: 'set-up', kind: 'error', times: 'always', status: 503 }],
      expected: {
        outcome: 'compensated',
        compensations: ['set-up-workspace', 'settle-payment', 'create-contract', 'redeem-card'],
      },
    },
    {
      ...usual,
      title: 'the card is redeemed, and the answer is lost',
      order: order(4),
      faults: [{ partner: 'card', effect: 'redeem', kind: 'lost-answer', times: 1 }],
      expected: { outcome: 'confirmed', setUpAttempts: 1 },
    },
    {
      ...usual,
      title: 'the worker is killed while it sets the workspace up',
      order: order(5),
      faults: [{ partner: 'workspace', effect: 'set-up', kind: 'latency', times: 1, latencyMs: 4_000 }],
      killsWorker: true,
      expected: { outcome: 'confirmed' },
    },
  ];
}
