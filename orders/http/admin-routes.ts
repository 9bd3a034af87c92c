import { z } from 'zod';
import { SAGA_STATES } from '../../publisher/saga/index.ts';
import { ProblemError } from '../../shared/http/problem.ts';
import { defineRoute, type Route } from '../../shared/http/route.ts';
import type { Database } from '../../shared/storage/database.ts';
import { listOrders } from '../list-orders.ts';
import { viewOrder } from '../order-view.ts';
import { orderViewSchema } from './schemas.ts';

const text = z.string().nullable();
const orderSummary = z
  .strictObject({
    orderKey: z.string(),
    sagaId: z.string(),
    state: z.enum(SAGA_STATES),
    step: text,
    reason: text,
    domain: z.string(),
    amountMinor: z.int(),
    currency: z.string(),
    itemsCount: z.int(),
    placedAt: z.iso.datetime(),
    endedAt: z.iso.datetime().nullable(),
  })
  .meta({ id: 'OrderSummary' });

const states = z
  .string()
  .transform((value) => value.split(','))
  .pipe(z.array(z.enum(SAGA_STATES)).min(1));

/** The shop's part of the admin API: all orders, which the order service itself shows to nobody. */
export function orderRoutes(database: Database): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/admin/orders',
      operationId: 'listOrders',
      summary: 'Orders, the newest first.',
      query: z.strictObject({
        state: states.optional(),
        domain: z.string().min(1).max(255).optional(),
        limit: z.coerce.number().int().min(1).max(1_000).default(100),
        after: z.string().min(1).max(4_096).optional().describe('`next` of the page before'),
      }),
      document: z.strictObject({ orders: z.array(orderSummary), next: text }),
      run: ({ query: { state, ...query } }) => listOrders(database, { ...query, states: state }),
    }),
    defineRoute({
      method: 'get',
      path: '/admin/orders/{orderKey}',
      operationId: 'showOrder',
      summary: 'One order, step by step.',
      params: z.strictObject({ orderKey: z.string().min(1).max(1_024) }),
      document: orderViewSchema,
      refusals: { '404': 'There is no such order.' },
      run: async ({ params: { orderKey } }) => {
        const order = await viewOrder(database, [], orderKey);
        if (order) return order;
        throw new ProblemError(404, 'no-such-order', 'there is no such order', { detail: orderKey });
      },
    }),
  ];
}
