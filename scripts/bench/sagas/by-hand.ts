import pg from 'pg';
import { uuidV7 } from '../../../publisher/saga/uuid-v7.ts';
import type { Contender } from './contender.ts';
import { doStep, type Outcome, STEPS, undoStep } from './work.ts';

/** What a hand-written loop stores: as much as is needed to go on after a crash, and no more. */
export interface Rows {
  readonly begin?: { readonly id: string; readonly input: unknown };
  readonly step?: {
    readonly saga_id: string;
    readonly seq: number;
    readonly name: string;
    readonly result: unknown;
  };
  readonly end?: { readonly id: string; readonly state: Outcome };
}

export type Store = (rows: Rows) => Promise<void>;

export interface ByHandOptions {
  readonly databaseUrl: string;
  readonly connections: number;
  readonly storeIn: (pool: pg.Pool) => Store;
  /** What every saga, step and compensation runs within: a span, or, by default, nothing. */
  readonly within?: Within;
}

export type Within = <T>(name: string, work: () => Promise<T>) => Promise<T>;

const TABLES = `
  CREATE TABLE IF NOT EXISTS saga (id text PRIMARY KEY, input json NOT NULL, state text NOT NULL DEFAULT 'running',
    started_at timestamptz NOT NULL DEFAULT now(), ended_at timestamptz);
  CREATE TABLE IF NOT EXISTS step (saga_id text NOT NULL, seq integer NOT NULL, name text NOT NULL, result json,
    at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (saga_id, seq))`;

/** A loop without leases, retries or anything else: the limit of what its way of storing allows. */
export async function byHand({
  databaseUrl,
  connections,
  storeIn,
  within = (_name, work) => work(),
}: ByHandOptions): Promise<Contender> {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: connections,
    options: '-c enable_seqscan=off', // a plan made for an empty table would be kept
  });
  await pool.query(TABLES);
  const loop = { store: storeIn(pool), within };
  return { run: (saga) => within('saga', () => runSaga(loop, saga)), close: () => pool.end() };
}

interface Loop {
  readonly store: Store;
  readonly within: Within;
}

async function runSaga(loop: Loop, saga: number): Promise<Outcome> {
  const { store, within } = loop;
  const id = uuidV7();
  const end = { id, state: 'confirmed' } as const;
  let seq = 0;
  await store({ begin: { id, input: { saga } } });
  for (const name of STEPS) {
    try {
      const result = await within(`step ${name}`, () => doStep(name, saga));
      const isLast = name === STEPS.at(-1);
      seq += 1;
      await store({ step: { saga_id: id, seq, name, result }, ...(isLast && { end }) });
    } catch (error) {
      return compensate(loop, { id, saga, failed: seq + 1, error: String(error) });
    }
  }
  return 'confirmed';
}

interface Failure {
  readonly id: string;
  readonly saga: number;
  readonly failed: number;
  readonly error: string;
}

async function compensate({ store, within }: Loop, { id, saga, failed, error }: Failure): Promise<Outcome> {
  let seq = failed;
  await store({ step: { saga_id: id, seq, name: STEPS[failed - 1] ?? '', result: { error } } });
  for (const name of STEPS.slice(0, failed - 1).toReversed()) {
    await within(`compensate ${name}`, () => undoStep(name, saga));
    seq += 1;
    const isLast = name === STEPS[0];
    const end = { id, state: 'compensated' } as const;
    await store({ step: { saga_id: id, seq, name: `undo ${name}`, result: null }, ...(isLast && { end }) });
  }
  return 'compensated';
}
