import type { PoolConfig } from 'pg';
import type { Logger } from '../log.ts';

export interface DatabaseOptions {
  /** `postgresql://user:password@host:port/database`. */
  readonly connectionString: string;
  /** Shown in `pg_stat_activity`. Default `throughline`. */
  readonly applicationName?: string;
  /** Connections at once. Default 10. */
  readonly maxConnections?: number;
  /** A statement that takes longer is cancelled, in ms. 0: never. Default 30_000. */
  readonly statementTimeoutMs?: number;
  /**
   * A statement whose answer has not come after this counts as one on a lost connection, in ms: a network that swallows
   * everything would be noticed after a quarter of an hour otherwise. Longer than `statementTimeoutMs`, or slow statements
   * would cost their connections. 0: never. Default: 5_000 more than `statementTimeoutMs`, never when that is 0.
   */
  readonly queryTimeoutMs?: number;
  /** A statement that waits longer for a lock is cancelled, in ms. 0: never. Default 10_000. */
  readonly lockTimeoutMs?: number;
  /** A transaction that is open and idle for longer is ended by the server, in ms. Default 60_000. */
  readonly idleInTransactionTimeoutMs?: number;
  /** How long opening one connection may take, in ms. Default 5_000. */
  readonly connectTimeoutMs?: number;
  /** How long a statement or transaction waits for a server that is away before it fails, in ms. Default 30_000. */
  readonly reconnectWithinMs?: number;
  readonly logger?: Logger | undefined;
}

const ANSWER_MARGIN_MS = 5_000;
const KEEP_ALIVE_AFTER_MS = 10_000;

export function poolConfig(options: DatabaseOptions): PoolConfig {
  const { statementTimeoutMs = 30_000 } = options;
  const { queryTimeoutMs = statementTimeoutMs === 0 ? 0 : statementTimeoutMs + ANSWER_MARGIN_MS } = options;
  return {
    connectionString: options.connectionString,
    application_name: options.applicationName ?? 'throughline',
    max: options.maxConnections ?? 10,
    connectionTimeoutMillis: options.connectTimeoutMs ?? 5_000,
    statement_timeout: statementTimeoutMs,
    query_timeout: queryTimeoutMs,
    lock_timeout: options.lockTimeoutMs ?? 10_000,
    idle_in_transaction_session_timeout: options.idleInTransactionTimeoutMs ?? 60_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_AFTER_MS, // the system's own is two hours
    options: PLANNING,
  };
}

/**
 * Prepared statements keep their plan. One that was made while a table was empty would scan it for ever, however large it
 * grows until the next analysis: so plans use the indexes from the start. (Without JIT, which a scan's penalty would start.)
 */
const PLANNING = '-c enable_seqscan=off -c jit=off';
