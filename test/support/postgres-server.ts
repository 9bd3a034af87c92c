import type { TestProject } from 'vitest/node';
import { readConfig } from '../../shared/config.ts';
import { type Database, openDatabase } from '../../shared/storage/database.ts';
import { startEmbeddedPostgres } from '../../shared/storage/embedded.ts';
import { migrate } from '../../shared/storage/migrate.ts';
import { THROUGHLINE_MIGRATIONS } from '../../shared/storage/migrations/index.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** A server on which test databases may be made. */
    readonly postgres: { readonly url: string; readonly template: string };
  }
}

/** One PostgreSQL for the run: the one of DATABASE_URL, else an embedded one; with a migrated template to copy. */
export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  const given = readConfig().databaseUrl;
  const embedded = given === undefined ? await startEmbeddedPostgres() : undefined;
  const url = given ?? embedded?.url ?? '';
  const template = `throughline_template_${process.pid}`;
  const admin = openDatabase({ connectionString: url, maxConnections: 1 });
  await admin.query(`CREATE DATABASE ${template}`);
  const database = openDatabase({ connectionString: withDatabase(url, template), maxConnections: 1 });
  await migrate(database, THROUGHLINE_MIGRATIONS);
  await database.close();
  project.provide('postgres', { url, template });
  return async () => {
    await drop(admin, template);
    await admin.close();
    await embedded?.close();
  };
}

export function withDatabase(url: string, name: string): string {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.href;
}

export async function drop(admin: Database, name: string): Promise<void> {
  await admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
}
