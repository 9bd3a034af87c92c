import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import {
  createScheduler,
  defineSchedule,
  type Firing,
  listSchedules,
  pauseSchedule,
  removeSchedule,
  resumeSchedule,
  type Schedule,
  type ScheduleDefinition,
  ScheduleDefinitionError,
  type SchedulerOptions,
} from '../../publisher/index.ts';
import { defineJob, OptionsError } from '../../shared/index.ts';
import { openDatabase } from '../../shared/storage/database.ts';
import { createArrivals } from '../../shared/trace/arrivals.ts';
import { startTestTelemetry, type TestTelemetry } from '../fakes/telemetry.ts';
import { startDoomed } from '../support/doomed-process.ts';
import { createSignals } from '../support/signals.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

/** Schedulers on one PostgreSQL, whose clock the test has in hand. */
let telemetry: TestTelemetry;
let db: TestDatabase;
let now: Date;
beforeAll(() => {
  telemetry = startTestTelemetry();
});
beforeEach(async () => {
  db = await createTestDatabase();
  now = new Date('2026-05-01T10:30:00Z');
  onTestFinished(() => db.close());
});
afterAll(() => telemetry.stop());

const payload = z.strictObject({ at: z.string().optional() });
const report = defineJob({ name: 'report.send', version: 1, topic: 'reports', payload });
const HOURLY = { name: 'report', cron: '0 * * * *', timeZone: 'UTC', job: report, payload: {} };

const schedule = (more: Partial<ScheduleDefinition<typeof payload>> = {}) =>
  defineSchedule({ ...HOURLY, ...more });
const ADA = { actor: 'ada', reason: 'ticket 4711' };
/** So long that nothing but `wake` makes a scheduler look. */
const NEVER_MS = 3_600_000;

/** A started scheduler with connections of its own, as if it were a process. */
async function start(schedules: readonly Schedule[], more: Partial<SchedulerOptions> = {}) {
  const fired: Firing[] = [];
  const leftOut: Firing[] = [];
  const arrivals = createArrivals(() => JSON.stringify(fired));
  const own = openDatabase({ connectionString: db.url, maxConnections: 3 });
  const scheduler = createScheduler({
    ...{ database: own, source: 'shop', schedules, pollMs: NEVER_MS, clock: async () => now },
    onTick(firing, jobId) {
      if (jobId === undefined) leftOut.push(firing);
      else fired.push(firing);
      arrivals.notify();
    },
    ...more,
  });
  onTestFinished(async () => {
    await scheduler.stop();
    await own.close();
  });
  await scheduler.start();
  return {
    ...scheduler,
    fired: (count: number) => arrivals.waitFor(() => fired.length >= count && fired, { timeoutMs: 15_000 }),
    leftOut: () => arrivals.waitFor(() => leftOut.length > 0 && leftOut, { timeoutMs: 15_000 }),
    /** Time goes on to this, and the scheduler looks. */
    wakeAt(time: string) {
      now = new Date(time);
      scheduler.wake();
    },
  };
}

async function jobs() {
  const { rows } = await db.database.query<{ job_id: string; data: string; order_key: string | null }>(
    'SELECT job_id, data, order_key FROM throughline.outbox ORDER BY id',
  );
  return rows;
}
const jobIds = async () => (await jobs()).map(({ job_id }) => job_id);
const ticksOf = (firings: readonly Firing[]) => firings.map(({ tick }) => tick.toISOString().slice(11, 16));
const nextAt = async () => (await listSchedules(db.database))[0]?.nextAt?.toISOString();

describe('a schedule', () => {
  test('enqueues its job at each tick, under an id that follows from the tick', async () => {
    const one = await start([
      schedule({ payload: ({ tick }) => ({ at: tick.toISOString() }), orderKey: () => 'O-1' }),
    ]);
    expect(await nextAt()).toBe('2026-05-01T11:00:00.000Z');
    one.wakeAt('2026-05-01T11:00:00Z');
    await one.fired(1);
    one.wakeAt('2026-05-01T12:00:01Z');
    await one.fired(2);
    expect(await jobs()).toEqual(
      ['11', '12'].map((hour) => ({
        job_id: `schedule/report/2026-05-01T${hour}:00:00.000Z`,
        data: `{"at":"2026-05-01T${hour}:00:00.000Z"}`,
        order_key: 'O-1',
      })),
    );
  });

  test('fires at its time by PostgreSQL’s clock, though nobody wakes it', async () => {
    const one = await start([schedule({ cron: '* * * * * *' })], {
      clock: async (client) =>
        (await client.query<{ now: Date }>('SELECT clock_timestamp() AS now')).rows[0]?.now ?? now,
    });
    const { now: own } = Date;
    Date.now = () => own() - 86_400_000; // this process is a day behind
    onTestFinished(() => {
      Date.now = own;
    });
    const [first, second] = await one.fired(2);
    expect((second?.tick.getTime() ?? 0) - (first?.tick.getTime() ?? 0)).toBe(1_000);
  });

  test('C1: three schedulers fire each tick once, in order', async () => {
    const hours = 12;
    const ticks = createSignals();
    const options = { missedAfterMs: 1e9, pollMs: 10, onTick: ticks.signal };
    const all = await Promise.all([1, 2, 3].map(() => start([schedule()], options)));
    now = new Date('2026-05-01T22:15:00Z');
    for (const one of all) one.wake();
    await ticks.reached(hours);
    await Promise.all(all.map((one) => one.stop()));
    expect(ticks.count).toBe(hours);
    expect(await jobIds()).toEqual(
      Array.from({ length: hours }, (_, index) => `schedule/report/2026-05-01T${index + 11}:00:00.000Z`),
    );
  });

  test('C1: a scheduler that dies between the job and the tick leaves both undone, and another does both', async () => {
    const at = '2026-05-01T11:00:00Z';
    const one = await start([schedule()]);
    await one.stop();
    const doomed = await startDoomed(['test/schedule/scheduler-main.ts', at], { DATABASE_URL: db.url });
    const other = await start([schedule()], { pollMs: 20 });
    other.wakeAt(at);
    expect(await jobIds()).toEqual([]);
    await doomed.kill();
    expect(ticksOf(await other.fired(1))).toEqual(['11:00']);
    expect(await jobIds()).toEqual(['schedule/report/2026-05-01T11:00:00.000Z']);
    expect(await nextAt()).toBe('2026-05-01T12:00:00.000Z');
  });

  test('C1: what is registered anew after its tick has the same job id', async () => {
    const one = await start([schedule()]);
    one.wakeAt('2026-05-01T11:00:00Z');
    await one.fired(1);
    await removeSchedule(db.database, { name: 'report', ...ADA });
    now = new Date('2026-05-01T10:59:00Z'); // the clock was set back meanwhile
    const other = await start([schedule()]);
    other.wakeAt('2026-05-01T11:00:00Z');
    await other.fired(1);
    expect(await jobIds()).toEqual(['schedule/report/2026-05-01T11:00:00.000Z']);
  });

  test('C3: ticks that came while no scheduler ran are made up for by one firing', async () => {
    const one = await start([schedule()]);
    await one.stop();
    now = new Date('2026-05-01T15:20:00Z');
    const other = await start([schedule()]);
    expect(await other.fired(1)).toEqual([
      { schedule: 'report', tick: new Date('2026-05-01T11:00:00Z'), isMissed: true },
    ]);
    other.wakeAt('2026-05-01T16:00:00Z');
    expect(ticksOf(await other.fired(2))).toEqual(['11:00', '16:00']);
  });

  test('C3: or left out, and a tick that is a little late is not missed', async () => {
    const skipping = schedule({ missed: 'skip' });
    const one = await start([skipping]);
    await one.stop();
    now = new Date('2026-05-01T15:20:00Z');
    const other = await start([skipping]);
    expect(ticksOf(await other.leftOut())).toEqual(['11:00']);
    other.wakeAt('2026-05-01T16:00:30Z');
    expect(ticksOf(await other.fired(1))).toEqual(['16:00']);
    expect(await telemetry.sum('throughline.schedule.left_out')).toBe(1);
  });

  test('C4: one whose payload cannot be made does not keep the others from firing, and is tried again', async () => {
    let isBroken = true;
    const broken = schedule({
      name: 'broken',
      cron: '59 * * * *',
      payload() {
        if (isBroken) throw new Error('no report today');
        return {};
      },
    });
    const one = await start([broken, schedule()]);
    one.wakeAt('2026-05-01T11:00:00Z');
    await one.fired(1);
    expect(await jobIds()).toEqual(['schedule/report/2026-05-01T11:00:00.000Z']);
    isBroken = false;
    one.wake();
    await one.fired(2);
    expect(await jobIds()).toContain('schedule/broken/2026-05-01T10:59:00.000Z');
    expect(
      await telemetry.sum('throughline.schedule.failed', { 'throughline.schedule.name': 'broken' }),
    ).toBe(await telemetry.sum('throughline.schedule.failed'));
  });

  test('C4: nor does a payload that does not fit its job', async () => {
    const one = await start([schedule({ name: 'bad', payload: () => ({ at: 1 }) as never }), schedule()]);
    one.wakeAt('2026-05-01T11:00:00Z');
    await one.fired(1);
    expect(await jobIds()).toEqual(['schedule/report/2026-05-01T11:00:00.000Z']);
  });

  test('takes another rule from the process that starts last, at every scheduler', async () => {
    const old = await start([schedule()]);
    await start([schedule({ cron: '45 * * * *' })]);
    expect(await nextAt()).toBe('2026-05-01T10:45:00.000Z');
    old.wakeAt('2026-05-01T10:45:00Z');
    expect(ticksOf(await old.fired(1))).toEqual(['10:45']);
    expect(await nextAt()).toBe('2026-05-01T11:45:00.000Z');
    await start([schedule({ cron: '45 * * * *', timeZone: 'Asia/Kolkata' })]); // half an hour apart
    expect(await nextAt()).toBe('2026-05-01T11:15:00.000Z');
  });

  test('keeps its next tick, missed or not, when it is registered again as it was', async () => {
    const one = await start([schedule()]);
    await one.stop();
    now = new Date('2026-05-01T15:20:00Z');
    const kept = createScheduler({
      database: db.database,
      source: 'shop',
      schedules: [schedule({ missed: 'skip' })],
      clock: async () => now,
    });
    await Promise.all([kept.start(), kept.stop()]);
    expect(await listSchedules(db.database)).toMatchObject([
      { missed: 'skip', nextAt: new Date('2026-05-01T11:00:00Z') },
    ]);
  });

  test('is left to others by a scheduler that does not define it', async () => {
    const one = await start([schedule()]);
    await one.stop();
    const other = await start([schedule({ name: 'other' })]);
    other.wakeAt('2026-05-01T11:00:00Z');
    await other.fired(1);
    expect(await jobIds()).toEqual(['schedule/other/2026-05-01T11:00:00.000Z']);
  });
});

describe('an operator', () => {
  test('C5: pauses a schedule, also over restarts, and resumes it without what it missed', async () => {
    const one = await start([schedule(), schedule({ name: 'witness' })]);
    await pauseSchedule(db.database, { name: 'report', ...ADA });
    one.wakeAt('2026-05-01T11:00:00Z');
    await one.fired(1);
    await one.stop();
    const other = await start([schedule(), schedule({ name: 'witness' })]);
    other.wakeAt('2026-05-01T12:00:00Z');
    await other.fired(1);
    const { schedule: resumed } = await resumeSchedule(db.database, { name: 'report', ...ADA });
    expect(resumed.paused).toBeUndefined();
    expect((await jobIds()).filter((id) => id.includes('report'))).toEqual([]);
    const [view] = await listSchedules(db.database);
    expect(view?.nextAt?.getTime()).toBeGreaterThan(Date.now() - 1_000);
  });

  test('is told what another one did, and is audited', async () => {
    await start([schedule()]);
    await pauseSchedule(db.database, { name: 'report', ...ADA });
    await expect(
      pauseSchedule(db.database, { name: 'report', actor: 'bob', reason: 'me too' }),
    ).rejects.toThrow(/paused already, by ada at .*: ticket 4711/);
    await resumeSchedule(db.database, { name: 'report', ...ADA });
    await expect(resumeSchedule(db.database, { name: 'report', ...ADA })).rejects.toMatchObject({
      code: 'SCHEDULE_NOT_PAUSED',
    });
    await removeSchedule(db.database, { name: 'report', ...ADA });
    await expect(removeSchedule(db.database, { name: 'report', ...ADA })).rejects.toMatchObject({
      code: 'SCHEDULE_UNKNOWN',
    });
    await expect(pauseSchedule(db.database, { name: '', actor: ' ', reason: '' })).rejects.toThrow(
      /name[\s\S]*actor[\s\S]*reason/,
    );
    const { rows } = await db.database.query<{ what: string }>(
      `SELECT actor || ' ' || action || ' ' || target AS what FROM throughline.operator_action ORDER BY id`,
    );
    expect(rows.map(({ what }) => what)).toEqual([
      'ada schedule.pause schedule report',
      'ada schedule.resume schedule report',
      'ada schedule.remove schedule report',
    ]);
  });
});

test('a firing is a trace of its own, linked to nothing, that says which tick of which schedule it is', async () => {
  const one = await start([schedule({ name: 'traced', orderKey: () => 'O-7' })]);
  one.wakeAt('2026-05-01T11:00:00Z');
  await one.fired(1);
  const span = await telemetry.span('fire traced');
  expect(span.parentSpanId).toBeUndefined();
  expect(span.links).toEqual([]);
  expect(span.attributes).toMatchObject({
    'throughline.schedule.name': 'traced',
    'throughline.schedule.tick': '2026-05-01T11:00:00.000Z',
    'throughline.schedule.cron': '0 * * * *',
    'throughline.schedule.time_zone': 'UTC',
    'throughline.schedule.missed': false,
    'order.event_id': 'O-7',
  });
  const { rows } = await db.database.query<{ carrier: { traceparent: string } }>(
    'SELECT carrier FROM throughline.outbox',
  );
  expect(rows[0]?.carrier.traceparent).toContain(`${span.traceId}-${span.spanId}`);
});

test('what makes no sense is refused, by name and with every problem', () => {
  expect(() => schedule({ name: '', cron: '61 * * * *', timeZone: 'Mars', missed: 'x' as never })).toThrow(
    /name[\s\S]*missed[\s\S]*timeZone[\s\S]*cron/,
  );
  expect(() => schedule({ cron: '' })).toThrow(ScheduleDefinitionError);
  const twice = [schedule(), schedule()];
  expect(() => createScheduler({ database: db.database, source: 'shop', schedules: twice })).toThrow(
    OptionsError,
  );
});
