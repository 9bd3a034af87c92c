import type { Command } from 'commander';
import { listSchedules, type ScheduleView } from '../publisher/index.ts';
import { printJson, printLine, printTable } from './output.ts';
import { scheduleDocument } from './schedule-print.ts';
import { withDatabase } from './session.ts';

/** `throughline schedule list` */
export function addScheduleList(schedule: Command): void {
  schedule
    .command('list')
    .description('the schedules that are registered, and when each fires next')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  $ throughline schedule list')
    .action(run);
}

async function run({ json = false }: { readonly json?: boolean }): Promise<void> {
  const schedules = await withDatabase({ purpose: 'read' }, listSchedules);
  if (json) return printJson({ schedules: schedules.map(scheduleDocument) });
  if (schedules.length === 0) return printLine('There are no schedules.');
  printTable(
    ['SCHEDULE', 'CRON', 'TIME ZONE', 'JOB', 'NEXT', 'LAST', 'PAUSED BY', 'REASON'],
    schedules.map(rowOf),
  );
}

function rowOf({ name, cron, timeZone, jobType, nextAt, lastTick, paused }: ScheduleView) {
  const next = paused ? undefined : nextAt?.toISOString();
  return [name, cron, timeZone, jobType, next, lastTick?.toISOString(), paused?.actor, paused?.reason];
}
