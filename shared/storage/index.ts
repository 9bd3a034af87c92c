export {
  type Database,
  type DatabaseOptions,
  DatabaseUnavailableError,
  openDatabase,
  type Transaction,
  type TransactionOptions,
} from './database.ts';
export {
  type EmbeddedPostgres,
  EmbeddedPostgresError,
  type EmbeddedPostgresOptions,
  startEmbeddedPostgres,
} from './embedded.ts';
export {
  assertMigrated,
  type Migration,
  type MigrationSet,
  type MigrationStatus,
  migrate,
  migrationStatus,
  SchemaError,
} from './migrate.ts';
export { THROUGHLINE_MIGRATIONS } from './migrations/index.ts';
export type { SqlClient } from './sql-client.ts';
