import type { Command } from 'commander';
import { printable } from '../insight/printable.ts';
import type { SuppressOptions } from '../publisher/campaign/index.ts';
import type { Database } from '../shared/storage/database.ts';
import { systemUser } from './actor.ts';
import { addCatalogueOption, type CatalogueOptions, readCatalogue } from './campaign-catalogue.ts';
import { EXIT, UsageError } from './failure.ts';
import { printJson, printLine } from './output.ts';
import { withDatabase } from './session.ts';

interface SuppressionOptions extends CatalogueOptions {
  readonly channel: string;
  readonly address: string;
  readonly category?: string;
  readonly reason: string;
  readonly actor?: string;
  readonly json?: boolean;
}

export interface SuppressionCommand {
  readonly action: 'add' | 'remove';
  /** Shape: whether it is as it was asked for. */
  readonly act: (database: Database, options: SuppressOptions) => Promise<boolean>;
  readonly told: (category: string) => string;
  /** When it is not. */
  readonly otherwise: string;
}

/** What `suppression add` and `suppression remove` have in common. */
export function addSuppressionCommand(command: Command, suppression: SuppressionCommand): void {
  addCatalogueOption(command)
    .requiredOption('--channel <name>', 'email, push …')
    .requiredOption('--address <address>', 'an address of that channel, however it is written')
    .option('--category <name>', 'of one category of campaigns (default: of every one)')
    .requiredOption('--reason <text>', 'why; kept with it, and with the action')
    .option('--actor <name>', 'who does it (default: the user of the operating system)')
    .option('--json', 'print one JSON document')
    .action((options: SuppressionOptions) => run(suppression, options));
}

async function run(
  { action, act, told, otherwise }: SuppressionCommand,
  options: SuppressionOptions,
): Promise<void> {
  const { channel: name, address, category, reason, actor = systemUser() } = options;
  const { channels } = await readCatalogue(options);
  const channel = channels.find((one) => one.name === name);
  if (!channel)
    throw new UsageError(
      `suppression ${action}: channel: there is no ${name}; there are ${channels.map((one) => one.name).join(', ')}`,
    );
  const isDone = await withDatabase({ purpose: 'act' }, (database) =>
    act(database, {
      ...{ channel, address, actor, reason, via: 'cli' },
      ...(category !== undefined && { category }),
    }),
  );
  if (!isDone) process.exitCode = EXIT.failure;
  if (options.json)
    return printJson({ action, isDone, channel: name, category: category ?? '*', actor, reason });
  const what = category === undefined ? 'of any category' : `of category ${category}`;
  if (isDone) printLine(printable(told(what)));
  else console.error(printable(`throughline: ${otherwise}`));
}
