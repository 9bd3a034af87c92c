import { inTime } from '../time-limit.ts';
import { count, type Observation, observeGauges } from '../trace/meters.ts';
import type { GaugeName } from '../trace/metric-catalogue.ts';
import { ERROR_TYPE } from '../trace/semconv.ts';
import { type Database, DatabaseUnavailableError } from './database.ts';
import type { SqlClient } from './sql-client.ts';

/** A collection waits no longer for the database, in ms: Prometheus gives up after ten seconds, and then has no metric at all. */
const MAX_WAIT_MS = 3_000;

/**
 * Publishes gauges that are read from PostgreSQL at each collection, so that a restart forgets nothing and every process
 * says the same. While the database is away, or too slow, the last numbers stand; `throughline.database.errors` rises at each
 * collection. Collections at the same time share one reading, so that whoever collects often does not load the database.
 */
export function observeDatabase(
  database: Database,
  names: readonly GaugeName[],
  read: (client: SqlClient) => Promise<readonly Observation[]>,
): { stop(): void } {
  let latest: readonly Observation[] | undefined;
  let reading: Promise<readonly Observation[] | undefined> | undefined;
  const readOnce = async () => {
    try {
      // A query would wait for a server that is away, and every other metric of this process with it: a ping does not.
      await database.ping();
      latest = await read(database);
      return latest;
    } catch (error) {
      if (error instanceof DatabaseUnavailableError) return undefined;
      throw error;
    } finally {
      reading = undefined;
    }
  };
  return observeGauges(names, () => {
    reading ??= readOnce();
    return inTime(reading, MAX_WAIT_MS, () => {
      count('throughline.database.errors', { [ERROR_TYPE]: 'ETIMEDOUT' });
      return latest; // of a reading that came too late for the collection before
    });
  });
}
