import type { PoolClient, QueryConfig, QueryResult, QueryResultRow } from 'pg';
import { MAX_TIMER_MS } from '../max-timer.ts';
import { isConnectionLost, isServerFault, unavailable } from './errors.ts';
import type { SqlClient } from './sql-client.ts';

/**
 * A connection of the pool, in one caller's hands.
 *
 * Only its own statements, and its socket, tell whether it is lost: what a caller throws besides them, a partner's
 * ECONNREFUSED for example, says nothing of PostgreSQL.
 */
export interface Connection extends SqlClient {
  /** What the first statement that failed failed with. */
  readonly firstError: unknown;
  /** Gives it back to the pool, which keeps it unless it is lost or `isSpoiled`. */
  release(isSpoiled?: boolean): void;
}

export interface ConnectionOptions {
  /** Called once, with what says so. */
  readonly onLost: (error: unknown) => void;
  /** Called with each answer that says that the server cannot serve. */
  readonly onFault: (error: unknown) => void;
  /** Answers are awaited for as long as they take. */
  readonly isPatient: boolean;
}

/** Its statements fail with DatabaseUnavailableError once it is lost, and from then on at once. */
export function takeConnection(
  client: PoolClient,
  { onLost, onFault, isPatient }: ConnectionOptions,
): Connection {
  let firstError: unknown;
  let loss: unknown;
  const lose = (error: unknown) => {
    if (loss !== undefined) return;
    loss = error;
    onLost(error);
  };
  client.on('error', lose); // a statement that is under way rejects as well
  return {
    async query<Row extends QueryResultRow>(statement: string | QueryConfig, values?: unknown[]) {
      if (loss !== undefined) throw unavailable(loss, true);
      try {
        return await run<Row>(client, isPatient ? patient(statement, values) : statement, values);
      } catch (error) {
        firstError ??= error;
        if (isServerFault(error)) onFault(error);
        if (!isConnectionLost(error)) throw error;
        lose(error);
        throw unavailable(error, true);
      }
    },
    get firstError() {
      return firstError;
    },
    release(isSpoiled = false) {
      client.off('error', lose);
      client.release(isSpoiled || loss !== undefined);
    },
  };
}

function run<Row extends QueryResultRow>(
  client: PoolClient,
  statement: string | QueryConfig,
  values?: unknown[],
): Promise<QueryResult<Row>> {
  return typeof statement === 'string' ? client.query<Row>(statement, values) : client.query<Row>(statement);
}

/** `pg` takes no statement's time-out of 0 for an answer: it would use the connection's. */
function patient(statement: string | QueryConfig, values: unknown[] | undefined): QueryConfig {
  const config = typeof statement === 'string' ? { text: statement, ...(values && { values }) } : statement;
  return { ...config, query_timeout: MAX_TIMER_MS } as QueryConfig;
}
