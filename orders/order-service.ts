import { createServer } from 'node:http';
import { createOutbox, createRelay, observeOutbox, type Relay } from '../publisher/index.ts';
import { createSagaEngine, observeSagas } from '../publisher/saga/index.ts';
import { closeServer, listen } from '../shared/http/server.ts';
import {
  createBatchSink,
  createStreamingPullSource,
  done,
  type Logger,
  type PubSubConnection,
} from '../shared/index.ts';
import { sagaResultJob } from '../shared/job/saga-result.ts';
import type { Database } from '../shared/storage/database.ts';
import { migrate } from '../shared/storage/migrate.ts';
import { THROUGHLINE_MIGRATIONS } from '../shared/storage/migrations/index.ts';
import { createInbox, createWorker } from '../subscriber/index.ts';
import { createUnsubscribeLinks } from './campaign/unsubscribe.ts';
import { RESULTS_DEAD_LETTER_TOPIC, RESULTS_SUBSCRIPTION, RESULTS_TOPIC } from './contract.ts';
import { createOrderApp } from './http/app.ts';
import { createOrderEvents } from './http/order-events.ts';
import { createReturnState } from './http/return-state.ts';
import type { Partners } from './partners/partners.ts';
import { createOrderSaga } from './saga.ts';
import { ORDERS_MIGRATIONS } from './storage/migrations.ts';

export interface OrderServiceOptions {
  readonly database: Database;
  readonly connection: PubSubConnection;
  readonly partners: Partners;
  /** Signs the state of 3-D Secure returns, and seals links to unsubscribe; the same in every process of the shop. */
  readonly signingSecret: string;
  /** Where it listens. 0: a free one. */
  readonly port: number;
  /** The address that it listens on. Default: loopback. */
  readonly host?: string | undefined;
  /**
   * Under which customers' browsers reach the service; the same in every process of it, because the bank is told, and a
   * payment that another process asks for again must be the same one. Default: its loopback address, for one process.
   */
  readonly publicUrl?: string | undefined;
  readonly threeDSecureTimeoutMs?: number | undefined;
  /** How soon the sagas, and the results in hand, of a process that died are taken over, in ms. Default: the engine's and the inbox's. */
  readonly leaseMs?: number | undefined;
  /** Whether this process sends what the outbox holds. */
  readonly relay: boolean;
  /** After this a job that nothing finished is sent again, in ms. Default: the relay's. */
  readonly resendAfterMs?: number | undefined;
  readonly ackDeadlineMs: number;
  /** How long results in hand may take once it stops, in ms. Default: the worker's. */
  readonly drainTimeoutMs?: number | undefined;
  readonly name: string;
  readonly logger?: Logger | undefined;
}

export interface OrderService {
  readonly url: string;
  /** Refuses new requests, lets steps finish, hands sagas back. May be called twice. */
  stop(): Promise<void>;
}

/**
 * Orders over HTTP, their sagas, and what the worker answers. Any number of processes share the work.
 *
 * Errors: SchemaError, DatabaseUnavailableError, SubscriptionMissingError; the port is taken.
 */
export async function startOrderService(options: OrderServiceOptions): Promise<OrderService> {
  const { database, connection, name, logger } = options;
  for (const set of [THROUGHLINE_MIGRATIONS, ORDERS_MIGRATIONS]) await migrate(database, set);
  const server = createServer();
  const port = await listen(server, options);
  const publicUrl = (options.publicUrl ?? `http://127.0.0.1:${port}`).replace(/\/+$/, '');
  const returnState = createReturnState(options.signingSecret);
  const unsubscribeLinks = createUnsubscribeLinks({ secret: options.signingSecret, publicUrl });
  const events = createOrderEvents();
  const sink = createBatchSink(connection);
  const saga = createOrderSaga({
    partners: options.partners,
    outbox: createOutbox({ database, source: name }),
    returnUrl: (orderKey, sagaId) =>
      `${publicUrl}/orders/${encodeURIComponent(orderKey)}/3ds-return?state=${returnState.sign(orderKey, sagaId)}`,
    threeDSecureTimeoutMs: options.threeDSecureTimeoutMs,
  });
  const engine = createSagaEngine({
    database,
    sagas: [saga],
    service: name,
    resultTopic: RESULTS_TOPIC,
    logger,
    onChange: events.changed,
    ...(options.leaseMs !== undefined && { leaseMs: options.leaseMs }),
  });
  const results = createWorker({
    source: createStreamingPullSource(connection, {
      subscription: RESULTS_SUBSCRIPTION,
      ackDeadlineMs: options.ackDeadlineMs,
    }),
    sink,
    topic: RESULTS_TOPIC,
    deadLetterTopic: RESULTS_DEAD_LETTER_TOPIC,
    inbox: createInbox({
      database,
      consumer: RESULTS_SUBSCRIPTION,
      logger,
      ...(options.leaseMs !== undefined && { claimMs: options.leaseMs }),
    }),
    ...(logger && { logger }),
    ...(options.drainTimeoutMs !== undefined && { drainTimeoutMs: options.drainTimeoutMs }),
  });
  results.handle(sagaResultJob(RESULTS_TOPIC), async ({ payload }) =>
    done((tx) => engine.deliver(tx, payload)),
  );
  const relay = options.relay ? relayOf(options, sink) : undefined;
  const gauges = [observeOutbox(database), observeSagas(database, [saga])];
  let isReady = false;
  server.on(
    'request',
    createOrderApp({
      database,
      engine,
      saga,
      events,
      returnState,
      unsubscribeLinks,
      isReady: () => isReady,
      logger,
    }),
  );

  await Promise.all([engine.start(), results.start(), relay?.start()]);
  isReady = true;
  let stopped: Promise<void> | undefined;
  const stop = async () => {
    isReady = false;
    events.close();
    await closeServer(server);
    await Promise.all([engine.stop(), results.stop()]);
    await relay?.stop();
    for (const gauge of gauges) gauge.stop();
  };
  return { url: `http://127.0.0.1:${port}`, stop: () => (stopped ??= stop()) };
}

function relayOf(
  { database, resendAfterMs, logger }: OrderServiceOptions,
  sink: ReturnType<typeof createBatchSink>,
): Relay {
  return createRelay({ database, sink, logger, ...(resendAfterMs !== undefined && { resendAfterMs }) });
}
