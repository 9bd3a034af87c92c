import { randomBytes } from 'node:crypto';
import { inject } from 'vitest';
import { type Database, openDatabase } from '../../shared/storage/database.ts';
import { drop, withDatabase } from './postgres-server.ts';

export interface TestDatabase {
  readonly database: Database;
  readonly url: string;
  /** Drops it, whoever is connected. */
  readonly close: () => Promise<void>;
}

/** A database of its own, migrated. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const { url: server, template } = inject('postgres');
  const name = `throughline_test_${randomBytes(6).toString('hex')}`;
  const admin = openDatabase({ connectionString: server, maxConnections: 1 });
  await admin.query(`CREATE DATABASE ${name} TEMPLATE ${template}`);
  const url = withDatabase(server, name);
  const database = openDatabase({ connectionString: url });
  return {
    database,
    url,
    async close() {
      await database.close();
      await drop(admin, name);
      await admin.close();
    },
  };
}
