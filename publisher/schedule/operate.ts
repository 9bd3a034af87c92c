import { SpanKind } from '@opentelemetry/api';
import { OptionsError } from '../../shared/options.ts';
import { storableText } from '../../shared/storable.ts';
import type { Database } from '../../shared/storage/database.ts';
import type { SqlClient } from '../../shared/storage/sql-client.ts';
import { captureCarrier } from '../../shared/trace/carrier.ts';
import { inSpan } from '../../shared/trace/in-span.ts';
import { SCHEDULE_NAME } from '../../shared/trace/semconv.ts';
import { nextTick } from './cron.ts';
import { ScheduleNotPausedError, SchedulePausedError, UnknownScheduleError } from './errors.ts';
import {
  deleteSchedule,
  lockSchedule,
  markPaused,
  readClock,
  readSchedules,
  type ScheduleView,
} from './schedule-rows.ts';

export interface ScheduleAction {
  readonly name: string;
  /** Who does it, as the audit names them. At most 200 characters. */
  readonly actor: string;
  /** Why. At most 1,000 characters. */
  readonly reason: string;
}

export interface ScheduleReceipt {
  /** As it is now; as it was, when it was removed. */
  readonly schedule: ScheduleView;
  /** Of the operator's span; undefined when nothing is traced. */
  readonly traceId: string | undefined;
}

/** All that are registered, by name. Errors: DatabaseUnavailableError. */
export const listSchedules: (client: SqlClient) => Promise<ScheduleView[]> = readSchedules;

/**
 * Keeps a schedule from firing, also when its rule is changed or its processes are started anew.
 *
 * Errors: OptionsError; UnknownScheduleError; SchedulePausedError; DatabaseUnavailableError.
 */
export function pauseSchedule(database: Database, action: ScheduleAction): Promise<ScheduleReceipt> {
  return operate(database, 'pause', action, async (tx, { name, paused, nextAt }) => {
    if (paused) throw new SchedulePausedError(name, paused);
    await markPaused(tx, name, action, nextAt);
  });
}

/**
 * Lets a schedule fire again, from its first tick from now on: those that came while it was paused are left out.
 *
 * Errors: OptionsError; UnknownScheduleError; ScheduleNotPausedError; DatabaseUnavailableError.
 */
export function resumeSchedule(database: Database, action: ScheduleAction): Promise<ScheduleReceipt> {
  return operate(database, 'resume', action, async (tx, schedule) => {
    if (!schedule.paused) throw new ScheduleNotPausedError(schedule.name);
    await markPaused(tx, schedule.name, undefined, nextTick(schedule, await readClock(tx)));
  });
}

/**
 * Removes a schedule. It comes back when a process is started that still defines it.
 *
 * Errors: OptionsError; UnknownScheduleError; DatabaseUnavailableError.
 */
export function removeSchedule(database: Database, action: ScheduleAction): Promise<ScheduleReceipt> {
  return operate(database, 'remove', action, (tx, { name }) => deleteSchedule(tx, name));
}

/** Change and audit row commit together. */
async function operate(
  database: Database,
  what: 'pause' | 'resume' | 'remove',
  given: ScheduleAction,
  change: (tx: SqlClient, schedule: ScheduleView) => Promise<void>,
): Promise<ScheduleReceipt> {
  const { name } = given;
  const actor = storableText(given.actor);
  const reason = storableText(given.reason);
  check(`schedule ${what}`, { name, actor, reason });
  const options = { kind: SpanKind.INTERNAL, attributes: { [SCHEDULE_NAME]: name } };
  return inSpan(`operate schedule.${what}`, options, async (span) => {
    const schedule = await database.transaction(async (tx) => {
      const before = await lockSchedule(tx, name);
      if (!before) throw new UnknownScheduleError(name);
      await change(tx, before);
      await tx.query(
        'INSERT INTO throughline.operator_action (actor, action, target, reason, details, carrier) VALUES ($1, $2, $3, $4, $5, $6)',
        [
          actor,
          `schedule.${what}`,
          `schedule ${name}`,
          reason.trim(),
          JSON.stringify({ cron: before.cron, timeZone: before.timeZone, jobType: before.jobType }),
          JSON.stringify(captureCarrier()),
        ],
      );
      return (await lockSchedule(tx, name)) ?? before;
    });
    return { schedule, traceId: span.isRecording() ? span.spanContext().traceId : undefined };
  });
}

const MAX_ACTOR_CHARS = 200;
const MAX_REASON_CHARS = 1_000;

function check(of: string, { name, actor, reason }: ScheduleAction): void {
  const problems = [
    name === '' && 'name: expected the name of a schedule',
    actor.trim() === '' && 'actor: expected the name of who does it',
    actor.length > MAX_ACTOR_CHARS && `actor: expected at most ${MAX_ACTOR_CHARS} characters`,
    reason.trim() === '' && 'reason: expected why',
    reason.length > MAX_REASON_CHARS && `reason: expected at most ${MAX_REASON_CHARS} characters`,
  ].filter((problem) => problem !== false);
  if (problems.length > 0) throw new OptionsError(of, problems);
}
