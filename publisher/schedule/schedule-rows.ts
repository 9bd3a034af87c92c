import type { SqlClient } from '../../shared/storage/sql-client.ts';
import type { CronRule } from './cron.ts';
import type { Missed } from './define.ts';

interface ScheduleRow {
  readonly name: string;
  readonly cron: string;
  readonly time_zone: string;
  readonly missed: Missed;
  readonly job_type: string;
  readonly next_at: Date | null;
  readonly last_tick: Date | null;
  readonly paused_at: Date | null;
  readonly paused_by: string | null;
  readonly pause_reason: string | null;
}

type Row = ScheduleRow & Record<string, unknown>;

/** A schedule as it is registered. */
export interface ScheduleView extends CronRule {
  readonly name: string;
  readonly missed: Missed;
  /** `report.send.v1` */
  readonly jobType: string;
  /** The next tick; while it is paused, the one at which it would fire. */
  readonly nextAt: Date | undefined;
  /** The last one that was fired. */
  readonly lastTick: Date | undefined;
  readonly paused: { readonly at: Date; readonly actor: string; readonly reason: string } | undefined;
}

/** All of them, by name. */
export async function readSchedules(client: SqlClient): Promise<ScheduleView[]> {
  const { rows } = await client.query<Row>('SELECT * FROM throughline.schedule ORDER BY name');
  return rows.map(viewOf);
}

/** Locks it, whoever holds it; undefined: there is none. */
export async function lockSchedule(client: SqlClient, name: string): Promise<ScheduleView | undefined> {
  const { rows } = await client.query<Row>('SELECT * FROM throughline.schedule WHERE name = $1 FOR UPDATE', [
    name,
  ]);
  return rows[0] && viewOf(rows[0]);
}

/** Locks it if it is due at `now`, and nobody else has it in hand. */
export async function lockDue(client: SqlClient, name: string, now: Date): Promise<ScheduleView | undefined> {
  const { rows } = await client.query<Row>({
    name: 'throughline-schedule-due',
    text: `
      SELECT * FROM throughline.schedule WHERE name = $1 AND paused_at IS NULL AND next_at <= $2
      FOR UPDATE SKIP LOCKED`,
    values: [name, now],
  });
  return rows[0] && viewOf(rows[0]);
}

export interface NextTick {
  readonly name: string;
  readonly nextAt: Date;
}

/** The ticks that are to come, or are due, of these schedules; the earliest first. */
export async function readNextTicks(client: SqlClient, names: readonly string[]): Promise<NextTick[]> {
  const { rows } = await client.query<{ name: string; next_at: Date }>({
    name: 'throughline-schedule-next',
    text: `
      SELECT name, next_at FROM throughline.schedule WHERE name = ANY($1) AND paused_at IS NULL AND next_at IS NOT NULL
      ORDER BY next_at`,
    values: [names],
  });
  return rows.map(({ name, next_at }) => ({ name, nextAt: next_at }));
}

export interface NewSchedule extends CronRule {
  readonly name: string;
  readonly missed: Missed;
  readonly jobType: string;
  readonly nextAt: Date | undefined;
}

/** A rule that stays as it was keeps its next tick, missed or not; a pause stands whatever is registered. */
export async function upsertSchedule(client: SqlClient, schedule: NewSchedule): Promise<void> {
  const { name, cron, timeZone, missed, jobType, nextAt } = schedule;
  await client.query(
    `INSERT INTO throughline.schedule AS s (name, cron, time_zone, missed, job_type, next_at)
     VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (name) DO UPDATE SET cron = $2, time_zone = $3, missed = $4, job_type = $5, registered_at = now(),
       next_at = CASE WHEN (s.cron, s.time_zone) IS DISTINCT FROM ($2, $3) THEN $6 ELSE s.next_at END`,
    [name, cron, timeZone, missed, jobType, nextAt ?? null],
  );
}

/** `firedTick`: undefined when the tick was left out. */
export async function moveOn(
  client: SqlClient,
  name: string,
  { nextAt, firedTick }: { readonly nextAt: Date | undefined; readonly firedTick: Date | undefined },
): Promise<void> {
  await client.query({
    name: 'throughline-schedule-move-on',
    text: 'UPDATE throughline.schedule SET next_at = $2, last_tick = coalesce($3, last_tick) WHERE name = $1',
    values: [name, nextAt ?? null, firedTick ?? null],
  });
}

export async function markPaused(
  client: SqlClient,
  name: string,
  pause: { readonly actor: string; readonly reason: string } | undefined,
  nextAt: Date | undefined,
): Promise<void> {
  await client.query(
    `UPDATE throughline.schedule SET next_at = $2, paused_by = $3, pause_reason = $4,
       paused_at = CASE WHEN $3::text IS NULL THEN NULL ELSE now() END WHERE name = $1`,
    [name, nextAt ?? null, pause?.actor ?? null, pause?.reason ?? null],
  );
}

export async function deleteSchedule(client: SqlClient, name: string): Promise<void> {
  await client.query('DELETE FROM throughline.schedule WHERE name = $1', [name]);
}

/** PostgreSQL's clock. */
export async function readClock(client: SqlClient): Promise<Date> {
  const { rows } = await client.query<{ now: Date }>({
    name: 'throughline-clock',
    text: 'SELECT clock_timestamp() AS now',
  });
  return rows[0]?.now ?? new Date(Number.NaN);
}

function viewOf(row: ScheduleRow): ScheduleView {
  const { name, cron, time_zone, missed, job_type, next_at, last_tick, paused_at } = row;
  return {
    name,
    cron,
    timeZone: time_zone,
    missed,
    jobType: job_type,
    nextAt: next_at ?? undefined,
    lastTick: last_tick ?? undefined,
    paused: paused_at
      ? { at: paused_at, actor: row.paused_by ?? '', reason: row.pause_reason ?? '' }
      : undefined,
  };
}
