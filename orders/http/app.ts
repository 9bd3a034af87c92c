import type { IncomingMessage } from 'node:http';
import express, { type Express, type Request, type Response } from 'express';
import type { SagaEngine } from '../../publisher/saga/index.ts';
import { notFound, ProblemError, parseOrRefuse, problems } from '../../shared/http/problem.ts';
import type { Logger } from '../../shared/index.ts';
import type { Database } from '../../shared/storage/database.ts';
import { serverSpanOf } from '../../shared/trace/instrumentation.ts';
import { ORDER_KEY, SAGA_ID, SPAN_WAITS } from '../../shared/trace/semconv.ts';
import type { UnsubscribeLinks } from '../campaign/unsubscribe.ts';
import { CURRENCY, orderKeySchema, orderSchema, totalsOf } from '../order.ts';
import { viewOrder } from '../order-view.ts';
import { type OrderSaga, THREE_D_SECURE } from '../saga.ts';
import { createOpenApi, idempotencyKeySchema, returnQuerySchema } from './openapi.ts';
import type { OrderEvents } from './order-events.ts';
import { identify, placeOrder } from './place-order.ts';
import type { ReturnState } from './return-state.ts';
import type { OrderView } from './schemas.ts';
import { createUnsubscribe } from './unsubscribe.ts';

export interface OrderAppOptions {
  readonly database: Database;
  readonly engine: SagaEngine;
  readonly saga: OrderSaga;
  readonly events: OrderEvents;
  readonly returnState: ReturnState;
  readonly unsubscribeLinks: UnsubscribeLinks;
  /** Whether this process takes requests: false while it starts and while it stops. */
  readonly isReady: () => boolean;
  readonly logger?: Logger | undefined;
}

const MAX_BODY = '64kb';

/** The order service over HTTP. Its OpenAPI document is at `/openapi.json`. */
export function createOrderApp(options: OrderAppOptions): Express {
  const { database, saga, events, logger } = options;
  const app = express();
  app.disable('x-powered-by');
  app.set('query parser', 'simple');
  const read = (orderKey: string) => viewOrder(database, [saga], orderKey);
  const openApi = createOpenApi();

  app.get('/healthz', (_, response) => void response.json({ status: 'ok' }));
  app.get('/readyz', (_, response) => readiness(options, response));
  app.get('/openapi.json', (_, response) => void response.json(openApi));
  app.post('/orders', express.json({ limit: MAX_BODY, strict: true }), (request, response) =>
    place(options, request, response, read),
  );
  app.get('/orders/:orderKey', async (request, response) => {
    response.json(await found(request, read));
  });
  app.get('/orders/:orderKey/events', async (request, response) => {
    const order = await found(request, read);
    serverSpanOf(request)?.setAttribute(SPAN_WAITS, true);
    events.stream(response, order, () => read(order.orderKey));
  });
  app.get('/orders/:orderKey/3ds-return', (request, response) => goOn(options, request, response));
  const unsubscribe = createUnsubscribe({ database, links: options.unsubscribeLinks });
  app.get('/unsubscribe', unsubscribe.ask);
  app.post('/unsubscribe', unsubscribe.take);
  app.use(notFound);
  app.use(problems(logger));
  return app;
}

type Read = (orderKey: string) => Promise<OrderView | undefined>;

async function place(
  options: OrderAppOptions,
  request: Request,
  response: Response,
  read: Read,
): Promise<void> {
  if (!request.is('application/json'))
    throw new ProblemError(415, 'unsupported-media-type', 'expected a body of type application/json');
  const idempotencyKey = parseOrRefuse(
    idempotencyKeySchema.optional(),
    request.get('idempotency-key'),
    'idempotency-key header',
  );
  const identity = identify(parseOrRefuse(orderSchema, request.body, 'order'), idempotencyKey);
  const { amountMinor, itemsCount } = totalsOf(identity.order);
  let hasHungUp = false;
  const answered = new Promise<void>((resolve) => {
    response.once('close', () => {
      hasHungUp = !response.writableFinished;
      resolve();
    });
  });
  const tell = (orderKey: string) =>
    describe(request, orderKey, {
      'order.items_count': itemsCount,
      'order.amount_minor': amountMinor,
      'order.currency': CURRENCY,
    });
  // The request's span has ended with the connection: an order that is placed now would hang on a request that bears no key.
  const onStored = () => {
    if (hasHungUp) throw new ProblemError(499, 'customer-gone', 'the customer hung up; nothing was placed');
    tell(identity.order.orderKey);
  };
  const { orderKey, isNew } = await placeOrder(options, { ...identity, answered, onStored });
  if (!isNew) tell(orderKey);
  if (hasHungUp) return;
  response.setHeader('location', `/orders/${encodeURIComponent(orderKey)}`);
  if (!isNew) response.setHeader('idempotent-replayed', 'true');
  response.status(202).json(await read(orderKey));
}

/** The customer is back from the bank. What they decided there is asked of the bank, not believed of the browser. */
async function goOn(options: OrderAppOptions, request: Request, response: Response): Promise<void> {
  const orderKey = orderKeyOf(request);
  const { state } = parseOrRefuse(returnQuerySchema, request.query, 'query');
  const sagaId = options.returnState.verify(orderKey, state);
  if (sagaId === undefined)
    throw new ProblemError(403, 'state-not-ours', 'the state was not signed by this shop for this order');
  const onLinked = () => describe(request, orderKey, { [SAGA_ID]: sagaId });
  const receipt = await options.engine.signal(sagaId, THREE_D_SECURE, {}, { onLinked });
  serverSpanOf(request)?.setAttribute('order.signal', receipt);
  if (receipt === 'duplicate') throw new ProblemError(409, 'state-used', 'this return was used already');
  if (receipt === 'late')
    throw new ProblemError(410, 'too-late', 'the order does not wait for the bank any more');
  response.redirect(303, `/orders/${encodeURIComponent(orderKey)}`);
}

async function readiness({ database, isReady }: OrderAppOptions, response: Response): Promise<void> {
  if (!isReady()) throw new ProblemError(503, 'not-ready', 'starting or stopping');
  await database.ping();
  response.json({ status: 'ready' });
}

/** Who looks at an order is no part of it: such a request does not bear its key. Errors: ProblemError (404). */
async function found(request: Request, read: Read): Promise<OrderView> {
  const orderKey = orderKeyOf(request);
  const order = await read(orderKey);
  if (!order) throw new ProblemError(404, 'no-such-order', 'there is no such order', { detail: orderKey });
  return order;
}

function orderKeyOf({ params }: Request): string {
  const parsed = orderKeySchema.safeParse(params['orderKey']);
  if (!parsed.success) throw new ProblemError(404, 'no-such-order', 'there is no such order');
  return parsed.data;
}

/**
 * Says on the request's span whose order it was, once that is sure: the spans below it inherit it when they are exported.
 * A request that failed before does not belong to an order.
 */
function describe(
  request: IncomingMessage,
  orderKey: string,
  attributes: Readonly<Record<string, string | number>>,
): void {
  serverSpanOf(request)?.setAttributes({ [ORDER_KEY]: orderKey, ...attributes });
}
