import { z } from 'zod';
import { createDocument } from 'zod-openapi';
import { problemSchema } from '../../shared/http/problem.ts';
import { orderKeySchema, orderSchema } from '../order.ts';
import { orderViewSchema } from './schemas.ts';

const orderRequest = orderSchema.meta({ id: 'OrderRequest' });
export const idempotencyKeySchema = z.string().min(1).max(255);
export const returnQuerySchema = z.looseObject({ state: z.string().min(1).max(1_024) });

/** A sealed address of at most 1,000 characters, and what goes with it. */
export const unsubscribeQuerySchema = z.looseObject({ token: z.string().min(1).max(8_192) });

const health = z.strictObject({ status: z.enum(['ok', 'ready']) }).meta({ id: 'Health' });
const path = z.object({ orderKey: orderKeySchema });
const json = (schema: z.ZodType) => ({ content: { 'application/json': { schema } } });
const order = (description: string) => ({ description, ...json(orderViewSchema) });
const away = 'The database cannot be reached; try again.';
const page = (description: string) => ({ description, content: { 'text/html': { schema: z.string() } } });
const refused = (description: string) => ({
  description,
  content: { 'application/problem+json': { schema: problemSchema } },
});

/** The order service's OpenAPI document, made of the very schemas that check requests and shape answers. */
export function createOpenApi(): object {
  return createDocument({
    openapi: '3.1.0',
    info: { title: 'Throughline reference order service', version: '1.0.0' },
    paths: {
      '/orders': {
        post: {
          operationId: 'placeOrder',
          requestParams: { header: z.object({ 'idempotency-key': idempotencyKeySchema.optional() }) },
          requestBody: { required: true, ...json(orderRequest) },
          responses: {
            '202': order(
              'The order is under way; ask again, or listen to its events, for the 3-D Secure address.',
            ),
            '400': refused('The body is no JSON.'),
            '409': refused('There is an order with this order key already.'),
            '413': refused('The body is too large.'),
            '415': refused('The body is not application/json.'),
            '422': refused('A field is not as expected, or the idempotency key was used for another order.'),
            '503': refused('The database cannot be reached; try again with the same idempotency key.'),
          },
        },
      },
      '/orders/{orderKey}': {
        get: {
          operationId: 'showOrder',
          requestParams: { path },
          responses: {
            '200': order('The order, step by step.'),
            '404': refused('There is no such order.'),
            '503': refused(away),
          },
        },
      },
      '/orders/{orderKey}/events': {
        get: {
          operationId: 'followOrder',
          requestParams: { path },
          responses: {
            '200': {
              description: 'An `order` event now and at each change, until the order has ended.',
              content: { 'text/event-stream': { schema: z.string() } },
            },
            '404': refused('There is no such order.'),
            '503': refused(away),
          },
        },
      },
      '/orders/{orderKey}/3ds-return': {
        get: {
          operationId: 'returnFromBank',
          requestParams: { path, query: returnQuerySchema },
          responses: {
            '303': { description: 'The order goes on; to its page.' },
            '403': refused('The state was not signed by this shop for this order.'),
            '404': refused('There is no such order.'),
            '409': refused('The state was used already.'),
            '410': refused('The order does not wait for the bank any more.'),
            '422': refused('The state is missing.'),
            '503': refused(away),
          },
        },
      },
      '/unsubscribe': {
        get: {
          operationId: 'askToUnsubscribe',
          requestParams: { query: unsubscribeQuerySchema },
          responses: {
            '200': page('Asks whether to unsubscribe; nothing is done yet.'),
            '403': refused('The token is not one of ours.'),
            '422': refused('The token is missing.'),
            '503': refused(away),
          },
        },
        post: {
          operationId: 'unsubscribe',
          requestParams: { query: unsubscribeQuerySchema },
          responses: {
            '200': page('Nothing of that category is sent to the address any more.'),
            '403': refused('The token is not one of ours.'),
            '404': refused('There is no such channel any more.'),
            '422': refused('The token is missing.'),
            '503': refused(away),
          },
        },
      },
      '/healthz': {
        get: {
          operationId: 'isAlive',
          responses: { '200': { description: 'The process runs.', ...json(health) } },
        },
      },
      '/readyz': {
        get: {
          operationId: 'isReady',
          responses: {
            '200': { description: 'It takes orders.', ...json(health) },
            '503': refused('It starts, stops, or cannot reach its database.'),
          },
        },
      },
    },
  });
}
