import { type Command, Option } from 'commander';
import { ORDERS_MIGRATIONS } from '../orders/storage/migrations.ts';
import type { MigrationSet } from '../shared/storage/migrate.ts';
import { THROUGHLINE_MIGRATIONS } from '../shared/storage/migrations/index.ts';

/** What `db migrate` applies and `db status` compares, in this order. */
const MIGRATION_SETS: readonly MigrationSet[] = [THROUGHLINE_MIGRATIONS, ORDERS_MIGRATIONS];

export interface SchemaOptions {
  readonly schema: string;
  readonly json?: boolean;
}

/** `--schema NAME`: the library's tables, unless somebody wants those of the reference shop as well. */
export function addSchemaOption(command: Command): Command {
  const schemas = [...MIGRATION_SETS.map(({ schema }) => schema), 'all'];
  const option = new Option('--schema <name>', "the library's tables, or the reference shop's");
  return command.addOption(option.choices(schemas).default(THROUGHLINE_MIGRATIONS.schema));
}

export function chosenSets({ schema }: SchemaOptions): readonly MigrationSet[] {
  return MIGRATION_SETS.filter((set) => schema === 'all' || set.schema === schema);
}
