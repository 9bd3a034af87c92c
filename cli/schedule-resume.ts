import type { Command } from 'commander';
import { resumeSchedule } from '../publisher/index.ts';
import { systemUser } from './actor.ts';
import { printScheduleReceipt } from './schedule-print.ts';
import { withDatabase } from './session.ts';

interface ResumeOptions {
  readonly reason: string;
  readonly actor?: string;
  readonly json?: boolean;
}

/** `throughline schedule resume NAME` */
export function addScheduleResume(schedule: Command): void {
  schedule
    .command('resume')
    .description('let a schedule fire again: ticks that came meanwhile are left out')
    .argument('<schedule>', "the schedule's name, as schedule list shows it")
    .requiredOption('--reason <text>', 'why; kept in the audit')
    .option('--actor <name>', 'who does it (default: the user of the operating system)')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      '\nExample:\n  $ throughline schedule resume daily-report --reason "the report is right again"',
    )
    .action(run);
}

async function run(
  name: string,
  { reason, actor = systemUser(), json = false }: ResumeOptions,
): Promise<void> {
  const receipt = await withDatabase({ purpose: 'act' }, (database) =>
    resumeSchedule(database, { name, actor, reason }),
  );
  printScheduleReceipt(
    receipt,
    `Schedule ${name} fires again, next at ${receipt.schedule.nextAt?.toISOString() ?? 'no time'}.`,
    json,
  );
}
