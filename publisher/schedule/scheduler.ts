import type { Logger } from '../../shared/log.ts';
import { checkNumbers, OptionsError } from '../../shared/options.ts';
import type { Database, Transaction } from '../../shared/storage/database.ts';
import type { SqlClient } from '../../shared/storage/sql-client.ts';
import { count } from '../../shared/trace/meters.ts';
import { endedSpansSaved } from '../../shared/trace/release.ts';
import { SCHEDULE_NAME } from '../../shared/trace/semconv.ts';
import { createLoop } from '../loop.ts';
import { createOutbox } from '../outbox.ts';
import { createTimer } from '../timer.ts';
import { nextTick } from './cron.ts';
import type { Firing, Schedule } from './define.ts';
import { fire } from './fire.ts';
import {
  lockDue,
  moveOn,
  type NewSchedule,
  readClock,
  readNextTicks,
  readSchedules,
  type ScheduleView,
  upsertSchedule,
} from './schedule-rows.ts';

/**
 * Fires schedules: enqueues a job at each of their ticks. Any number of schedulers may run, in any processes.
 *
 * C1. A tick is fired once: its job is enqueued in the transaction that moves the schedule on to the next tick, and the row is
 *     locked meanwhile. Whatever is fired again all the same (a schedule that was removed and registered anew, say) has the
 *     same job id.
 * C2. PostgreSQL's clock decides, for all schedulers alike.
 * C3. Ticks come in order, and each is either fired, or left out as missed, or made up for as missed by the first of them.
 * C4. A schedule that cannot be fired does not keep the others from firing. It is tried again.
 * C5. After `pauseSchedule` has returned nothing fires.
 */
export interface SchedulerOptions {
  readonly database: Database;
  /** The service that enqueues, written as `ce-source`. */
  readonly source: string;
  readonly schedules: readonly Schedule[];
  /** A tick that is later than this was missed, in ms. Default 60_000. */
  readonly missedAfterMs?: number;
  /** How often is looked for ticks, besides at the time of the next one, in ms. Default 1_000. */
  readonly pollMs?: number;
  /** What time it is. Default: PostgreSQL's clock. */
  readonly clock?: (client: SqlClient) => Promise<Date>;
  readonly logger?: Logger | undefined;
  /** Called once a tick is committed: fired, or left out as missed, when there is no job. */
  readonly onTick?: (firing: Firing, jobId: string | undefined) => void;
}

export interface Scheduler {
  /**
   * Registers the schedules, which takes effect for all schedulers, and begins to fire them. May be called twice.
   *
   * A schedule whose cron and time zone stay as they were keeps its next tick; another rule begins with its first tick from now on.
   * Errors: DatabaseUnavailableError.
   */
  start(): Promise<void>;
  /** Looks for ticks now. */
  wake(): void;
  /** Finishes what is being fired. May be called twice. */
  stop(): Promise<void>;
}

const FIRED = 'throughline.schedule.fired';
const LEFT_OUT = 'throughline.schedule.left_out';
const FAILED = 'throughline.schedule.failed';

/** Errors: OptionsError. */
export function createScheduler(options: SchedulerOptions): Scheduler {
  checkNumbers('createScheduler', options, { missedAfterMs: { min: 0 }, pollMs: { min: 10 } });
  const { database, schedules, pollMs = 1_000, clock = readClock, logger } = options;
  const byName = new Map(schedules.map((schedule) => [schedule.name, schedule]));
  if (byName.size < schedules.length)
    throw new OptionsError('createScheduler', ['schedules: expected each name once']);
  const fireTick = createFiring(options, clock);
  let interval: NodeJS.Timeout | undefined;
  let started: Promise<void> | undefined;
  let stopped: Promise<void> | undefined;

  const loop = createLoop(
    async (isStopped) => {
      let isMoved = false;
      for (const { name, nextAt } of await readNextTicks(database, [...byName.keys()])) {
        const schedule = byName.get(name);
        if (isStopped() || !schedule) return;
        const inMs = nextAt.getTime() - (await clock(database)).getTime();
        if (inMs > 0) {
          timer.in(inMs);
          break; // those after it are later still
        }
        if (await fireTick(schedule)) isMoved = true;
      }
      if (isMoved) timer.in(0); // what was fired has another tick, and that may be due
    },
    logger,
    'schedules could not be looked at; it will be tried again',
  );
  const timer = createTimer(loop.trigger);

  const start = async () => {
    await register(options, clock);
    for (const { name } of schedules) {
      for (const counter of [FIRED, LEFT_OUT, FAILED] as const) count(counter, { [SCHEDULE_NAME]: name }, 0);
    }
    if (stopped) return;
    interval = setInterval(loop.trigger, pollMs);
    loop.trigger();
  };
  return {
    start: () => (started ??= start()),
    wake: loop.trigger,
    stop: () =>
      (stopped ??= (async () => {
        timer.stop();
        await started?.catch(() => {});
        clearInterval(interval);
        await loop.stop();
      })()),
  };
}

/** One that is registered as it is defined is not written: its row may be in the hands of a scheduler that hangs. */
async function register(
  { database, schedules, logger }: SchedulerOptions,
  clock: (client: SqlClient) => Promise<Date>,
): Promise<void> {
  const now = await clock(database);
  const registered = new Map((await readSchedules(database)).map((one) => [one.name, one]));
  for (const schedule of schedules) {
    const { name, cron, timeZone, missed, job } = schedule;
    const wanted = { name, cron, timeZone, missed, jobType: job.type };
    const known = registered.get(name);
    if (known && isSame(known, wanted)) continue;
    const nextAt = nextTick(schedule, now);
    await upsertSchedule(database, { ...wanted, nextAt });
    logger?.info({ schedule: name, cron, timeZone, nextAt }, 'schedule registered');
  }
}

function isSame(known: ScheduleView, wanted: Omit<NewSchedule, 'nextAt'>): boolean {
  const { cron, timeZone, missed, jobType } = wanted;
  return (
    known.cron === cron && known.timeZone === timeZone && known.missed === missed && known.jobType === jobType
  );
}

/** What became of a tick that is due; undefined: somebody else had it in hand. */
interface Ticked extends Firing {
  /** Undefined: it was left out. */
  readonly jobId: string | undefined;
}

function createFiring(
  { database, source, missedAfterMs = 60_000, logger, onTick }: SchedulerOptions,
  clock: (client: SqlClient) => Promise<Date>,
) {
  const outbox = createOutbox({ database, source });

  /** C1, C3. */
  const tick = async (tx: Transaction, schedule: Schedule): Promise<Ticked | undefined> => {
    const { name } = schedule;
    const now = await clock(tx);
    const registered = await lockDue(tx, name, now);
    if (!registered?.nextAt) return undefined;
    const isMissed = now.getTime() - registered.nextAt.getTime() > missedAfterMs;
    const firing = { schedule: name, tick: registered.nextAt, isMissed };
    const isFired = !isMissed || registered.missed === 'fire-once';
    const { cron, timeZone } = registered; // another process may have registered another rule
    const jobId = isFired ? await fire(tx, outbox, { ...schedule, cron, timeZone }, firing) : undefined;
    const nextAt = nextTick(registered, isMissed ? now : firing.tick);
    await moveOn(tx, name, { nextAt, firedTick: isFired ? firing.tick : undefined });
    await endedSpansSaved();
    return { ...firing, jobId };
  };

  /** C4. Shape: whether the schedule moved on. */
  return async (schedule: Schedule): Promise<boolean> => {
    const label = { [SCHEDULE_NAME]: schedule.name };
    try {
      const ticked = await database.transaction((tx) => tick(tx, schedule));
      if (!ticked) return false;
      const { jobId, ...firing } = ticked;
      count(jobId === undefined ? LEFT_OUT : FIRED, label);
      onTick?.(firing, jobId);
      return true;
    } catch (error) {
      count(FAILED, label);
      logger?.error(
        { err: error, schedule: schedule.name },
        'a schedule could not be fired; it will be tried again',
      );
      return false;
    }
  };
}
