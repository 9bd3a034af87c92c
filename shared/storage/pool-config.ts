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

export function poolConfig(options: DatabaseOptions): PoolConfig {
  return {
    connectionString: options.connectionString,
    application_name: options.applicationName ?? 'throughline',
    max: options.maxConnections ?? 10,
    connectionTimeoutMillis: options.connectTimeoutMs ?? 5_000,
    statement_timeout: options.statementTimeoutMs ?? 30_000,
    lock_timeout: options.lockTimeoutMs ?? 10_000,
    idle_in_transaction_session_timeout: options.idleInTransactionTimeoutMs ?? 60_000,
    keepAlive: true,
    options: PLANNING,
  };
}

/**
 * Prepared statements keep their plan. One that was made while a table was empty would scan it for ever, however large it
 * grows until the next analysis: so plans use the indexes from the start. (Without JIT, which a scan's penalty would start.)
 */
const PLANNING = '-c enable_seqscan=off -c jit=off';
