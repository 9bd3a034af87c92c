import { context, ROOT_CONTEXT } from '@opentelemetry/api';
import { z } from 'zod';
import { createOutbox, createRelay } from '../../publisher/index.ts';
import { createSagaEngine, defineSaga, skip } from '../../publisher/saga/index.ts';
import {
  applyTopology,
  createBatchSink,
  createStreamingPullSource,
  defineJob,
  done,
  inSpan,
  jobTopology,
  type PubSubConnection,
} from '../../shared/index.ts';
import { sagaResultJob } from '../../shared/job/saga-result.ts';
import type { Database } from '../../shared/storage/database.ts';
import { ORDER_KEY } from '../../shared/trace/semconv.ts';
import { createInbox, createWorker, replyToSaga } from '../../subscriber/index.ts';
import { type Fate, hasFailed, orderKeyOf } from './fate.ts';

export interface ShopOptions {
  /** Migrated. */
  readonly database: Database;
  readonly connection: PubSubConnection;
  /** Orders under way at once. */
  readonly concurrency: number;
  readonly fateOf: (order: number) => Fate;
  /** How long a slow step takes, in ms: longer than what the telemetry calls slow. */
  readonly slowStepMs: number;
}

export interface Shop {
  /** Places an order. Shape: its saga's id. */
  place(order: number): Promise<string>;
  /** Errors: SagaTimeoutError; when the order did not end as it is fated to. */
  ended(order: number, sagaId: string): Promise<void>;
  stop(): Promise<void>;
}

const JOBS = 'sampling-jobs';
const RESULTS = 'sampling-results';
const END_TIMEOUT_MS = 120_000;
const RETRY = { maxAttempts: 3, minBackoffMs: 5, maxBackoffMs: 20 };

const numbered = z.strictObject({ order: z.int() });
const perOrder = {
  topic: JOBS,
  version: 1,
  payload: numbered,
  orderingKey: (_: unknown, key?: string) => key,
  retry: RETRY,
};
const setUp = defineJob({ name: 'load.set-up', ...perOrder });
const tearDown = defineJob({ name: 'load.tear-down', ...perOrder });

const refusal = Object.assign(new Error('refused'), { code: 'REFUSED', retryable: false, effect: 'none' });

/** Real engine, outbox, relay, worker and inbox in one process: a request, two steps with a call inside, a job, an answer. */
export async function startShop(options: ShopOptions): Promise<Shop> {
  const { database, connection, fateOf } = options;
  for (const topic of [JOBS, RESULTS]) await applyTopology(connection, jobTopology({ topic, ordered: true }));
  const sink = createBatchSink(connection);
  const outbox = createOutbox({ database, source: 'load' });
  const saga = orderSaga(options);
  const engine = createSagaEngine({ database, sagas: [saga], service: 'load', resultTopic: RESULTS });
  const relay = createRelay({ database, sink });
  const workerOf = (topic: string) =>
    createWorker({
      source: createStreamingPullSource(connection, { subscription: `${topic}-worker` }),
      sink,
      topic,
      deadLetterTopic: `${topic}-dead-letters`,
      maxInFlight: options.concurrency,
      inbox: createInbox({ database, consumer: `${topic}-worker` }),
    });
  const worker = workerOf(JOBS);
  const results = workerOf(RESULTS);
  worker.handle(
    ...replyToSaga(outbox, setUp, ({ payload, attempt }) => setUpJob(options, payload.order, attempt)),
  );
  worker.handle(...replyToSaga(outbox, tearDown, () => inSpan('DELETE /workspaces', {}, async () => {})));
  results.handle(sagaResultJob(RESULTS), async ({ payload }) => done((tx) => engine.deliver(tx, payload)));
  await Promise.all([engine.start(), relay.start(), worker.start(), results.start()]);
  return {
    /** As an HTTP request: whose order it is it learns in its course. */
    place: (order) =>
      context.with(ROOT_CONTEXT, () =>
        inSpan('POST /orders', {}, async (span) => {
          const orderKey = orderKeyOf(order);
          const { sagaId } = await engine.begin(saga, { order }, { orderKey });
          span.setAttribute(ORDER_KEY, orderKey);
          return sagaId;
        }),
      ),
    async ended(order, sagaId) {
      const outcome = await engine.ended(sagaId, { timeoutMs: END_TIMEOUT_MS });
      const expected = hasFailed(fateOf(order)) ? 'compensated' : 'confirmed';
      if (outcome !== expected) throw new Error(`order ${order} ended ${outcome} in place of ${expected}`);
    },
    async stop() {
      await Promise.all([engine.stop(), worker.stop(), results.stop()]);
      await relay.stop();
    },
  };
}

function orderSaga({ fateOf, slowStepMs }: ShopOptions) {
  return defineSaga({ name: 'load-order', version: 1, input: numbered })
    .step('redeem-card', {
      run: ({ input: { order }, attempt }) =>
        inSpan('POST /cards', {}, async () => {
          if (fateOf(order) === 'step-retried' && attempt === 1) throw new Error('not now');
        }),
      compensate: () => inSpan('POST /cards/reactivate', {}, async () => {}),
      retry: RETRY,
    })
    .job('set-up-workspace', {
      job: setUp,
      payload: ({ input }) => input,
      result: z.unknown(),
      compensate: { job: tearDown, payload: ({ input }) => input },
    })
    .step('confirm-order', {
      run: ({ input: { order } }) =>
        inSpan('POST /confirmations', {}, async () => {
          if (fateOf(order) === 'slow') await pause(slowStepMs);
          if (fateOf(order) === 'refused') throw refusal;
        }),
      compensate: skip('the last one'),
    })
    .build();
}

async function setUpJob({ fateOf, slowStepMs }: ShopOptions, order: number, attempt: number): Promise<void> {
  await inSpan('PUT /workspaces', {}, async () => {
    const fate = fateOf(order);
    if (fate === 'job-slow') await pause(slowStepMs);
    if (fate === 'job-dies') throw refusal;
    if (fate === 'retried' && attempt === 1) throw new Error('not now');
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
