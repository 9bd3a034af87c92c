import type { Command } from 'commander';
import { pauseSchedule } from '../publisher/index.ts';
import { systemUser } from './actor.ts';
import { printScheduleReceipt } from './schedule-print.ts';
import { withDatabase } from './session.ts';

interface PauseOptions {
  readonly reason: string;
  readonly actor?: string;
  readonly json?: boolean;
}

/** `throughline schedule pause NAME` */
export function addSchedulePause(schedule: Command): void {
  schedule
    .command('pause')
    .description('keep a schedule from firing, until it is resumed')
    .argument('<schedule>', "the schedule's name, as schedule list shows it")
    .requiredOption('--reason <text>', 'why; kept in the audit')
    .option('--actor <name>', 'who does it (default: the user of the operating system)')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      '\nExample:\n  $ throughline schedule pause daily-report --reason "the report is wrong"',
    )
    .action(run);
}

async function run(
  name: string,
  { reason, actor = systemUser(), json = false }: PauseOptions,
): Promise<void> {
  const receipt = await withDatabase({ purpose: 'act' }, (database) =>
    pauseSchedule(database, { name, actor, reason }),
  );
  printScheduleReceipt(receipt, `Schedule ${name} is paused: it fires no more until it is resumed.`, json);
}
