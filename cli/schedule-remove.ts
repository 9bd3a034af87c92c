import type { Command } from 'commander';
import { printable } from '../insight/printable.ts';
import { removeSchedule } from '../publisher/index.ts';
import { systemUser } from './actor.ts';
import { assertAskable, confirm } from './confirm.ts';
import { printScheduleReceipt } from './schedule-print.ts';
import { withDatabase } from './session.ts';

interface RemoveOptions {
  readonly reason: string;
  readonly actor?: string;
  readonly yes?: boolean;
  readonly json?: boolean;
}

/** `throughline schedule remove NAME` */
export function addScheduleRemove(schedule: Command): void {
  schedule
    .command('remove')
    .description('forget a schedule; it comes back when a process is started that still defines it')
    .argument('<schedule>', "the schedule's name, as schedule list shows it")
    .requiredOption('--reason <text>', 'why; kept in the audit')
    .option('--actor <name>', 'who does it (default: the user of the operating system)')
    .option('--yes', 'do not ask')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      '\nExample:\n  $ throughline schedule remove daily-report --reason "it is not defined any more"',
    )
    .action(run);
}

async function run(name: string, options: RemoveOptions): Promise<void> {
  const { reason, actor = systemUser(), yes = false, json = false } = options;
  if (!yes) assertAskable('schedule remove', { input: process.stdin });
  const receipt = await withDatabase({ purpose: 'act' }, async (database) => {
    if (!yes) await ask(name);
    return removeSchedule(database, { name, actor, reason });
  });
  printScheduleReceipt(receipt, `Schedule ${name} is removed.`, json);
}

async function ask(name: string): Promise<void> {
  const question = `Remove schedule ${name}? Its next tick and its pause are forgotten.`;
  await confirm(printable(question), { input: process.stdin, output: process.stderr });
}
