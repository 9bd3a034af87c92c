import { EventEmitter, once } from 'node:events';
import { z } from 'zod';
import {
  createSagaEngine,
  defineSaga,
  readSaga,
  type SagaEngine,
  type SagaView,
  skip,
} from '../../publisher/saga/index.ts';
import { defineJob } from '../../shared/index.ts';
import { PATIENCE_MS } from '../support/patience.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

/** A service in the test's process whose compensations fail while `faults` names their step, and stick at once. */
export interface FaultyShop {
  readonly db: TestDatabase;
  /** Compensations of these steps fail. */
  readonly faults: Set<string>;
  /** The steps whose compensation was done, in order. */
  undoneOf(orderKey: string): string[];
  /** Begins an order that fails at its last step, and waits until it is stuck. Shape: the saga's id. */
  beginStuck(orderKey: string, options?: { readonly viaJob?: boolean }): Promise<string>;
  /** Resolves once the saga is in that state. */
  inState(sagaId: string, state: string): Promise<void>;
  /** Resolves once the saga is as `isSo` wants it. */
  until(sagaId: string, isSo: (saga: SagaView) => boolean): Promise<void>;
  /** What a worker says of the compensation that it was sent. */
  answerJob(sagaId: string, jobId: string, outcome: 'done' | 'failed'): Promise<void>;
  /** Stops the engine, as the service's end would. */
  stop(): Promise<void>;
  /** Starts another engine in place of one that was stopped. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

const tearDown = defineJob({
  name: 'workspace.tear-down',
  version: 1,
  topic: 'jobs',
  payload: z.object({ domain: z.string() }),
});
const input = z.object({ viaJob: z.boolean() });
const refused = Object.assign(new Error('the card was refused'), {
  code: 'REFUSED',
  retryable: false,
  effect: 'none',
});

export async function startFaultyShop(): Promise<FaultyShop> {
  const db = await createTestDatabase();
  const { database } = db;
  const faults = new Set<string>();
  const undone: { readonly orderKey: string | undefined; readonly step: string }[] = [];
  const changes = new EventEmitter();
  changes.setMaxListeners(100);
  const compensate = (step: string) => ({
    run: async ({ orderKey }: { readonly orderKey: string | undefined }) => {
      if (faults.has(step)) throw Object.assign(new Error(`${step}: the partner is away`), { code: 'AWAY' });
      undone.push({ orderKey, step });
    },
    retry: { maxAttempts: 1 },
  });
  const steps = (name: string) =>
    defineSaga({ name, version: 1, input })
      .step('verify-account', { run: async () => 1, compensate: skip('nothing was changed') })
      .step('redeem-card', { run: async () => 1, compensate: compensate('redeem-card') })
      .step('create-contract', { run: async () => 1, compensate: compensate('create-contract') });
  const pay = { run: () => Promise.reject(refused), compensate: skip('nothing was paid') };
  const order = steps('order').step('settle-payment', pay).build();
  const orderViaJob = steps('order-via-job')
    .step('set-up', {
      run: async () => 1,
      compensate: { job: tearDown, payload: () => ({ domain: 'shop.example' }) },
    })
    .step('settle-payment', pay)
    .build();
  const newEngine = () =>
    createSagaEngine({
      database,
      sagas: [order, orderViaJob],
      service: 'shop',
      pollMs: 200,
      onChange: () => changes.emit('change'),
    });
  let engine: SagaEngine = newEngine();
  await engine.start();

  const until: FaultyShop['until'] = async (sagaId, isSo) => {
    for (;;) {
      const changed = once(changes, 'change', { signal: AbortSignal.timeout(PATIENCE_MS) });
      changed.catch(() => {}); // only of interest when it is awaited
      const view = await readSaga(database, sagaId);
      if (view && isSo(view)) return;
      await changed;
    }
  };
  const inState = (sagaId: string, wanted: string) => until(sagaId, ({ state }) => state === wanted);
  return {
    db,
    faults,
    undoneOf: (key) => undone.flatMap(({ orderKey, step }) => (orderKey === key ? [step] : [])),
    inState,
    until,
    async beginStuck(orderKey, { viaJob = false } = {}) {
      const { sagaId } = await engine.begin(viaJob ? orderViaJob : order, { viaJob }, { orderKey });
      if (!viaJob) await inState(sagaId, 'stuck');
      return sagaId;
    },
    answerJob: (sagaId, jobId, outcome) =>
      database.transaction((tx) =>
        engine.deliver(tx, {
          sagaId,
          jobId,
          ...(outcome === 'done'
            ? { outcome }
            : { outcome, error: { type: 'AWAY', message: 'the directory is away' } }),
        }),
      ),
    stop: () => engine.stop(),
    async restart() {
      engine = newEngine();
      await engine.start();
    },
    async close() {
      await engine.stop();
      await db.close();
    },
  };
}
