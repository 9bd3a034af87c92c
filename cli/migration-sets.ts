import { type Command, Option } from 'commander';
import { ORDERS_MIGRATIONS } from '../orders/storage/migrations.ts';
import type { MigrationSet } from '../shared/storage/migrate.ts';
import { THROUGHLINE_MIGRATIONS } from '../shared/storage/migrations/index.ts';

/** What `db migrate` applies and `db status` compares, in this order. */
const MIGRATION_SETS: readonly MigrationSet[] = [THROUGHLINE_MIGRATIONS, ORDERS_MIGRATIONS];

export interface SchemaOptions {
  readonly schema?: string;
  readonly json?: boolean;
}

/** `--schema NAME`: services of your own need the library's schema alone. */
export function addSchemaOption(command: Command): Command {
  const schemas = MIGRATION_SETS.map(({ schema }) => schema);
  return command.addOption(new Option('--schema <name>', 'only this one (default: all)').choices(schemas));
}

export function chosenSets({ schema }: SchemaOptions): readonly MigrationSet[] {
  return MIGRATION_SETS.filter((set) => schema === undefined || set.schema === schema);
}
