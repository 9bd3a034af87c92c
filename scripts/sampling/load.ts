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
import { fateOf, hasFailed, orderKeyOf } from './fate.ts';

export interface LoadOptions {
  /** Migrated. */
  readonly database: Database;
  readonly connection: PubSubConnection;
  /** Their number; the first is order 0. */
  readonly orders: number;
  /** Orders under way at once. */
  readonly concurrency: number;
  /** How long a slow step takes, in ms: longer than what the telemetry calls slow. */
  readonly slowStepMs: number;
  readonly onProgress?: (ended: number) => void;
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

/**
 * Orders through the real engine, outbox, relay, Pub/Sub and worker: a request, two steps with a call inside, a job, a last step.
 *
 * Errors: SagaTimeoutError; when an order does not end as it is fated to.
 */
export async function runLoad(options: LoadOptions): Promise<{ readonly sagaIds: readonly string[] }> {
  const { database, connection, slowStepMs } = options;
  for (const topic of [JOBS, RESULTS]) await applyTopology(connection, jobTopology({ topic, ordered: true }));
  const sink = createBatchSink(connection);
  const outbox = createOutbox({ database, source: 'load' });
  const saga = orderSaga(slowStepMs);
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
    ...replyToSaga(outbox, setUp, ({ payload, attempt }) => setUpJob(payload.order, attempt, slowStepMs)),
  );
  worker.handle(...replyToSaga(outbox, tearDown, () => inSpan('DELETE /workspaces', {}, async () => {})));
  results.handle(sagaResultJob(RESULTS), async ({ payload }) => done((tx) => engine.deliver(tx, payload)));
  await Promise.all([engine.start(), relay.start(), worker.start(), results.start()]);
  try {
    const sagaIds: string[] = [];
    let next = 0;
    const customer = async () => {
      for (let order = next++; order < options.orders; order = next++) {
        const sagaId = await place(order);
        sagaIds[order] = sagaId;
        const outcome = await engine.ended(sagaId, { timeoutMs: END_TIMEOUT_MS });
        const expected = hasFailed(fateOf(order)) ? 'compensated' : 'confirmed';
        if (outcome !== expected) throw new Error(`order ${order} ended ${outcome} in place of ${expected}`);
        options.onProgress?.(order);
      }
    };
    await Promise.all(Array.from({ length: options.concurrency }, customer));
    return { sagaIds };
  } finally {
    await Promise.all([engine.stop(), worker.stop(), results.stop()]);
    await relay.stop();
  }

  /** As an HTTP request: whose order it is it learns in its course. */
  function place(order: number): Promise<string> {
    return context.with(ROOT_CONTEXT, () =>
      inSpan('POST /orders', {}, async (span) => {
        const orderKey = orderKeyOf(order);
        const { sagaId } = await engine.begin(saga, { order }, { orderKey });
        span.setAttribute(ORDER_KEY, orderKey);
        return sagaId;
      }),
    );
  }
}

function orderSaga(slowStepMs: number) {
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

async function setUpJob(order: number, attempt: number, slowStepMs: number): Promise<void> {
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
