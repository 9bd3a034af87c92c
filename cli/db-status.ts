import type { Command } from 'commander';
import { type MigrationStatus, migrationStatus } from '../shared/storage/migrate.ts';
import { EXIT } from './failure.ts';
import { addSchemaOption, chosenSets, type SchemaOptions } from './migration-sets.ts';
import { printJson, printLine, printTable } from './output.ts';
import { withDatabase } from './session.ts';

/** `throughline db status` */
export function addDbStatus(db: Command): void {
  addSchemaOption(db.command('status'))
    .description('what is applied, what is pending, and what is not as the migrations left it')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      '\nExits with 1 when anything is pending or has drifted.\n\nExample:\n  $ throughline db status || throughline db migrate',
    )
    .action(dbStatus);
}

async function dbStatus(options: SchemaOptions): Promise<void> {
  const { json = false } = options;
  await withDatabase({ purpose: 'read' }, async (database) => {
    const sets: MigrationStatus[] = [];
    for (const set of chosenSets(options)) sets.push(await migrationStatus(database, set));
    const isUpToDate = sets.every(({ pending, drift }) => pending.length === 0 && drift.length === 0);
    if (json) printJson({ upToDate: isUpToDate, sets });
    else printSets(sets);
    if (!isUpToDate) process.exitCode = EXIT.failure;
  });
}

function printSets(sets: readonly MigrationStatus[]): void {
  printTable(
    ['SCHEMA', 'MIGRATION', 'STATE'],
    sets.flatMap(({ schema, applied, pending }) => [
      ...applied.map((name) => [schema, name, 'applied']),
      ...pending.map((name) => [schema, name, 'pending']),
    ]),
  );
  for (const line of sets.flatMap(({ drift }) => drift)) printLine(`drift: ${line}`);
}
