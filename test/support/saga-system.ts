import { createOutbox, createRelay, type Outbox, type Relay } from '../../publisher/index.ts';
import { createSagaEngine, type Saga, type SagaEngine } from '../../publisher/saga/index.ts';
import {
  applyTopology,
  createBatchSink,
  createStreamingPullSource,
  done,
  jobTopology,
} from '../../shared/index.ts';
import { sagaResultJob } from '../../shared/job/saga-result.ts';
import { createInbox, createWorker, type Worker } from '../../subscriber/index.ts';
import type { Stage } from './stage.ts';
import { createTestDatabase, type TestDatabase } from './test-database.ts';

/** Everything that a saga with jobs needs, in one process: engine, relay, a worker, and who takes results back. */
export interface SagaSystem {
  readonly db: TestDatabase;
  readonly engine: SagaEngine;
  readonly outbox: Outbox;
  readonly relay: Relay;
  /** Register handlers, then `start()`. */
  readonly worker: Worker;
  start(): Promise<void>;
  close(): Promise<void>;
}

export const JOBS = 'jobs';
export const RESULTS = 'results';

export interface SagaSystemOptions {
  readonly sagas: readonly Saga[];
  readonly resendAfterMs?: number;
}

export async function createSagaSystem(stage: Stage, options: SagaSystemOptions): Promise<SagaSystem> {
  const db = await createTestDatabase();
  const { database } = db;
  const { connection } = stage;
  for (const topic of [JOBS, RESULTS]) await applyTopology(connection, jobTopology({ topic, ordered: true }));
  const sink = createBatchSink(connection);
  const outbox = createOutbox({ database, source: 'shop' });
  const relay = createRelay({
    database,
    sink,
    pollMs: 200,
    ...(options.resendAfterMs !== undefined && { resendAfterMs: options.resendAfterMs }),
  });
  const engine = createSagaEngine({
    database,
    sagas: options.sagas,
    service: 'shop',
    resultTopic: RESULTS,
    pollMs: 200,
  });
  const workerOf = (topic: string) =>
    createWorker({
      source: createStreamingPullSource(connection, { subscription: `${topic}-worker` }),
      sink,
      topic,
      deadLetterTopic: `${topic}-dead-letters`,
      inbox: createInbox({ database, consumer: `${topic}-worker`, claimMs: 3_000 }),
    });
  const worker = workerOf(JOBS);
  const results = workerOf(RESULTS);
  results.handle(sagaResultJob(RESULTS), async ({ payload }) => done((tx) => engine.deliver(tx, payload)));
  return {
    db,
    engine,
    outbox,
    relay,
    worker,
    async start() {
      await Promise.all([engine.start(), relay.start(), worker.start(), results.start()]);
    },
    async close() {
      await Promise.all([engine.stop(), worker.stop(), results.stop(), relay.stop()]);
      await db.close();
    },
  };
}
