import { expect } from 'vitest';
import type { SagaEvent } from '../../publisher/saga/event.ts';
import {
  createSagaEngine,
  readSaga,
  type Saga,
  type SagaEngine,
  type SagaEngineOptions,
} from '../../publisher/saga/index.ts';
import { openDatabase } from '../../shared/storage/database.ts';
import { type GatedDatabase, gateDatabase } from './gated-database.ts';
import { createTestDatabase, type TestDatabase } from './test-database.ts';

/** Several engines on one PostgreSQL, each with connections of its own, as if they were processes. */
export interface SagaLab {
  readonly db: TestDatabase;
  /** A started engine that polls twenty times a second. Its lease is one that no busy machine lets run out. */
  start(sagas: readonly Saga[], options?: LabOptions): Promise<LabEngine>;
  /** Shape: `completed a 1`, `interrupted process-lost`, `operator skip`. */
  history(sagaId: string): Promise<string[]>;
  events(sagaId: string): Promise<readonly SagaEvent[]>;
  state(sagaId: string): Promise<string>;
  /** Resolves when the saga's row says so. */
  reaches(sagaId: string, state: string): Promise<void>;
  /** What others see of a process that died: it says nothing more, and its lease has run out. */
  kill(engine: LabEngine): Promise<void>;
  /** Stores a worker's result as the results' worker would. */
  jobDone(engine: SagaEngine, sagaId: string, step: string, result: unknown): Promise<void>;
  /** Ends the engines of the test. */
  reset(): Promise<void>;
  close(): Promise<void>;
}

export type LabOptions = Partial<Omit<SagaEngineOptions, 'database' | 'sagas'>> & {
  /** False: the engine is made, and not started. */
  readonly isStarted?: boolean;
};

/** For an engine whose lease is to run out while the test waits for that. */
export const SHORT_LEASE = { leaseMs: 2_000 };

export interface LabEngine extends SagaEngine {
  readonly database: GatedDatabase;
}

export async function createSagaLab(): Promise<SagaLab> {
  const db = await createTestDatabase();
  let cleanUps: (() => Promise<void>)[] = [];
  const view = async (sagaId: string) => readSaga(db.database, sagaId);
  const lab: SagaLab = {
    db,
    async start(sagas, { isStarted = true, ...options } = {}) {
      const plain = openDatabase({ connectionString: db.url, maxConnections: 5 });
      const database = gateDatabase(plain);
      const engine = createSagaEngine({
        database,
        sagas,
        service: 'lab',
        leaseMs: 10_000,
        pollMs: 50,
        drainTimeoutMs: 0,
        ...options,
      });
      if (isStarted) await engine.start();
      cleanUps.push(async () => {
        database.letGo();
        await engine.stop();
        await plain.close();
      });
      return { ...engine, database };
    },
    history: async (sagaId) => (await lab.events(sagaId)).map(tell),
    events: async (sagaId) => (await view(sagaId))?.history.map(({ event }) => event) ?? [],
    state: async (sagaId) => (await view(sagaId))?.state ?? 'unknown',
    reaches: (sagaId, state) => expect.poll(() => lab.state(sagaId), { interval: 10 }).toBe(state),
    async kill(engine) {
      engine.database.hold();
      await db.database.query('UPDATE throughline.saga_runner SET lease_until = now()');
    },
    jobDone: (engine, sagaId, step, result) =>
      db.database.transaction((tx) =>
        engine.deliver(tx, { sagaId, jobId: `${sagaId}/${step}`, outcome: 'done', result: result as never }),
      ),
    async reset() {
      const ending = cleanUps;
      cleanUps = [];
      await Promise.all(ending.map((cleanUp) => cleanUp()));
    },
    async close() {
      await lab.reset();
      await db.close();
    },
  };
  return lab;
}

function tell(event: SagaEvent): string {
  if (event.kind === 'interrupted') return `interrupted ${event.cause}`;
  if (event.kind === 'operator') return `operator ${event.action}`;
  if (event.kind === 'completed-late') return `completed-late ${event.step}`;
  const undo = event.kind === 'dispatched' && event.undo ? ' undo' : '';
  return `${event.kind}${undo} ${event.step} ${event.attempt}`;
}
