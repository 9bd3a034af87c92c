import { type Observation, observeGauges } from '../trace/meters.ts';
import type { GaugeName } from '../trace/metric-catalogue.ts';
import { type Database, DatabaseUnavailableError } from './database.ts';
import type { SqlClient } from './sql-client.ts';

/**
 * Publishes gauges that are read from PostgreSQL at each collection, so that a restart forgets nothing and every process
 * says the same. While the database is away the last numbers stand; `throughline.database.errors` rises at each collection.
 */
export function observeDatabase(
  database: Database,
  names: readonly GaugeName[],
  read: (client: SqlClient) => Promise<readonly Observation[]>,
): { stop(): void } {
  return observeGauges(names, async () => {
    try {
      // A query would wait for a server that is away, and every other metric of this process with it: a ping does not.
      await database.ping();
      return await read(database);
    } catch (error) {
      if (error instanceof DatabaseUnavailableError) return undefined;
      throw error;
    }
  });
}
