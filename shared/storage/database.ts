import { setTimeout as delay } from 'node:timers/promises';
import { context, ROOT_CONTEXT } from '@opentelemetry/api';
import { type Kysely, Kysely as KyselyOf, PostgresDialect } from 'kysely';
import pg, { type PoolClient } from 'pg';
import type { Logger } from '../log.ts';
import { checkNumbers } from '../options.ts';
import { count } from '../trace/meters.ts';
import { ERROR_TYPE } from '../trace/semconv.ts';
import { type Connection, takeConnection } from './connection.ts';
import { isConnectionLost, LOSS_TYPES, lossType, TransactionAbortedError, unavailable } from './errors.ts';
import { createListener } from './listener.ts';
import { createNotifier } from './notifier.ts';
import { type DatabaseOptions, poolConfig } from './pool-config.ts';
import type { SqlClient } from './sql-client.ts';

export { DatabaseUnavailableError, TransactionAbortedError } from './errors.ts';
export type { DatabaseOptions } from './pool-config.ts';

export interface Transaction extends SqlClient {
  /** Typed queries within this transaction. */
  kysely<Tables>(): Kysely<Tables>;
  /** Called once the transaction is committed, never when it was rolled back. It must not throw. */
  afterCommit(callback: () => void): void;
}

export interface TransactionOptions {
  /** Its statements, and their waits for locks, take as long as they take. Default false. */
  readonly isPatient?: boolean;
}

export interface Database extends SqlClient {
  /** Typed queries, each on a connection of the pool. They wait for a server that is away, and fail as `query` does. */
  kysely<Tables>(): Kysely<Tables>;
  /**
   * Commits when `work` resolves (READ COMMITTED), rolls back when it throws.
   *
   * Errors: what `work` throws, as it is; DatabaseUnavailableError, which the statements of `tx` throw as well;
   * TransactionAbortedError when `work` passed over a statement that failed. It is not run again once `work` has begun.
   */
  transaction<T>(work: (tx: Transaction) => Promise<T>, options?: TransactionOptions): Promise<T>;
  /**
   * Calls back at each notification, and after each reconnection, because something may have been missed meanwhile.
   *
   * Shape: a function that stops it. Errors: none; it reconnects for as long as it is wanted.
   */
  listen(channel: string, onNotice: () => void): Promise<() => Promise<void>>;
  /** Wakes listeners. Calls during one notification share the next. Errors: none; listeners poll as well. */
  notify(channel: string): void;
  /** Errors: DatabaseUnavailableError at once, without waiting for the server to return. */
  ping(): Promise<void>;
  /** Waits for what is under way. May be called twice. */
  close(): Promise<void>;
}

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1_000;

/** A pool of connections. Nothing is connected before the first statement. Errors: OptionsError. */
export function openDatabase(options: DatabaseOptions): Database {
  checkNumbers('openDatabase', options, {
    maxConnections: { min: 1, whole: true },
    statementTimeoutMs: { min: 0 },
    queryTimeoutMs: { min: 0 },
    lockTimeoutMs: { min: 0 },
    idleInTransactionTimeoutMs: { min: 0 },
    connectTimeoutMs: { min: 1 },
    reconnectWithinMs: { min: 0 },
  });
  const { logger, reconnectWithinMs = 30_000, connectTimeoutMs = 5_000 } = options;
  for (const type of LOSS_TYPES) count('throughline.database.errors', { [ERROR_TYPE]: type }, 0);
  const pool = new pg.Pool(poolConfig(options));
  // An idle connection that the server closed: the pool replaces it when one is needed.
  pool.on('error', (error) => lost(logger, error));
  // One that is in use: its next statement fails. An error that nobody listens to would end the process.
  pool.on('connect', (client) => client.on('error', () => {}));
  const notifier = createNotifier(
    // Shared by everybody who notifies meanwhile, so nobody's span is active.
    (channel) => context.with(ROOT_CONTEXT, () => pool.query('SELECT pg_notify($1, $2)', [channel, ''])),
    (error) => lost(logger, error),
  );
  const stops = new Set<() => Promise<void>>();
  let closed: Promise<void> | undefined;

  /** Whatever was not begun may be tried again. */
  const acquire = async (begin: boolean): Promise<PoolClient> => {
    const givesUpAtMs = performance.now() + reconnectWithinMs;
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      try {
        return await connect(pool, begin);
      } catch (error) {
        if (!isConnectionLost(error)) throw error;
        lost(logger, error);
        if (closed || performance.now() + pauseMs > givesUpAtMs) throw unavailable(error, false);
        await delay(pauseMs);
      }
    }
  };

  const take = async (begin: boolean, { isPatient = false }: TransactionOptions = {}): Promise<Connection> =>
    takeConnection(await acquire(begin), {
      onLost: (error) => lost(logger, error),
      onFault: (error) => cannotServe(logger, error),
      isPatient,
    });

  return {
    async query(statement, values) {
      const connection = await take(false);
      try {
        return await connection.query(statement, values);
      } finally {
        connection.release();
      }
    },
    kysely: <Tables>() => kyselyOn<Tables>(() => take(false)),
    async transaction(work, transactionOptions) {
      const callbacks: (() => void)[] = [];
      const connection = await take(true, transactionOptions);
      const result = await inTransaction(connection, work, callbacks, transactionOptions).finally(() =>
        connection.release(),
      );
      for (const callback of callbacks) callback();
      return result;
    },
    async listen(channel, onNotice) {
      const listener = createListener({ options, channel, onNotice, onLost: (error) => lost(logger, error) });
      stops.add(listener.stop);
      await listener.ready;
      return async () => {
        stops.delete(listener.stop);
        await listener.stop();
      };
    },
    notify: notifier.notify,
    async ping() {
      try {
        await pool.query({ text: 'SELECT 1', query_timeout: connectTimeoutMs } as pg.QueryConfig);
      } catch (error) {
        if (!isConnectionLost(error)) throw error;
        lost(logger, error);
        throw unavailable(error, false);
      }
    },
    close() {
      closed ??= (async () => {
        await Promise.all([...stops].map((stop) => stop()));
        await notifier.settled();
        await pool.end();
      })();
      return closed;
    },
  };
}

async function inTransaction<T>(
  connection: Connection,
  work: (tx: Transaction) => Promise<T>,
  callbacks: (() => void)[],
  { isPatient = false }: TransactionOptions = {},
): Promise<T> {
  let result: T;
  try {
    if (isPatient) await connection.query('SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0');
    result = await work({
      query: connection.query,
      kysely: <Tables>() => kyselyOn<Tables>(async () => ({ ...connection, release: () => {} })),
      afterCommit: (callback) => callbacks.push(callback),
    });
  } catch (error) {
    await connection.query('ROLLBACK').catch(() => {}); // a lost connection has rolled back
    throw error;
  }
  const { command } = await connection.query('COMMIT');
  if (command !== 'COMMIT') throw new TransactionAbortedError({ cause: connection.firstError }); // PostgreSQL says so in no other way
  return result;
}

/** A connection, in which a transaction has begun when one is wanted. */
async function connect(pool: pg.Pool, begin: boolean): Promise<PoolClient> {
  const client = await pool.connect();
  if (!begin) return client;
  try {
    await client.query('BEGIN');
    return client;
  } catch (error) {
    client.release(true);
    throw error;
  }
}

/** Kysely takes a pool, of which it wants only this; of a connection it wants `query` and `release`. */
function kyselyOn<Tables>(connect: () => Promise<Pick<Connection, 'query' | 'release'>>): Kysely<Tables> {
  const pool = { connect, end: async () => {} } as unknown as pg.Pool;
  return new KyselyOf<Tables>({ dialect: new PostgresDialect({ pool }) });
}

function cannotServe(logger: Logger | undefined, error: unknown): void {
  count('throughline.database.errors', { [ERROR_TYPE]: lossType(error) });
  logger?.warn({ err: error }, 'PostgreSQL cannot serve');
}

function lost(logger: Logger | undefined, error: unknown): void {
  count('throughline.database.errors', { [ERROR_TYPE]: lossType(error) });
  logger?.warn({ err: error }, 'a connection to PostgreSQL was lost or refused');
}
