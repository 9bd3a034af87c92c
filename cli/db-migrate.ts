import type { Command } from 'commander';
import { migrate } from '../shared/storage/migrate.ts';
import { addSchemaOption, chosenSets, type SchemaOptions } from './migration-sets.ts';
import { printJson, printLine } from './output.ts';
import { withDatabase } from './session.ts';

/** `throughline db migrate` */
export function addDbMigrate(db: Command): void {
  addSchemaOption(db.command('migrate'))
    .description('apply what is pending; safe to run again, and from several places at once')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  $ throughline db migrate && node service.js')
    .action(dbMigrate);
}

async function dbMigrate(options: SchemaOptions): Promise<void> {
  const { json = false } = options;
  // Without a time limit: another process may be migrating, and a large table takes as long as it takes.
  await withDatabase({ purpose: 'read', statementTimeoutMs: 0 }, async (database) => {
    const sets: { schema: string; applied: string[] }[] = [];
    for (const set of chosenSets(options)) {
      const applied = await migrate(database, set);
      sets.push({ schema: set.schema, applied });
      if (!json) for (const name of applied) printLine(`${set.schema}: applied ${name}`);
    }
    if (json) printJson({ sets });
    else if (sets.every(({ applied }) => applied.length === 0)) printLine('Nothing is pending.');
  });
}
