import { printable } from '../insight/printable.ts';
import type { ScheduleReceipt, ScheduleView } from '../publisher/index.ts';
import { printJson, printLine } from './output.ts';

/** A schedule for programs. */
export function scheduleDocument({
  name,
  cron,
  timeZone,
  jobType,
  missed,
  nextAt,
  lastTick,
  paused,
}: ScheduleView) {
  return {
    schedule: name,
    cron,
    timeZone,
    jobType,
    missed,
    nextAt: nextAt?.toISOString(),
    lastTick: lastTick?.toISOString(),
    pausedAt: paused?.at.toISOString(),
    pausedBy: paused?.actor,
    pauseReason: paused?.reason,
  };
}

/** Says what was done, to people or to programs. */
export function printScheduleReceipt(
  { schedule, traceId }: ScheduleReceipt,
  sentence: string,
  json: boolean,
): void {
  if (json) {
    printJson({ ...scheduleDocument(schedule), traceId });
    return;
  }
  printLine(printable(sentence));
  if (traceId !== undefined) printLine(`Trace ${traceId}`);
}
