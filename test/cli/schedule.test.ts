import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createScheduler, defineSchedule } from '../../publisher/index.ts';
import { defineJob } from '../../shared/index.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { complaint, throughline } from './throughline.ts';

describe('throughline schedule', () => {
  let db: TestDatabase;
  beforeAll(async () => {
    db = await createTestDatabase();
  });
  afterAll(() => db.close());

  const run = (line: string, more: readonly string[] = []) =>
    throughline(['schedule', ...line.split(' '), ...more], { DATABASE_URL: db.url });
  const ADA = ['--actor', 'ada', '--reason', 'ticket 4711'];
  const NEXT = /^\d{4}-\d\d-\d\dT05:30:00\.000Z$/;

  it('lists, pauses, resumes and removes, for people and for programs', async () => {
    expect((await run('list')).stdout).toBe('There are no schedules.\n');
    const job = defineJob({ name: 'report.send', version: 1, topic: 'reports', payload: z.strictObject({}) });
    const rule = { name: 'daily', cron: '0 11 * * *', timeZone: 'Asia/Kolkata' };
    const schedules = [defineSchedule({ ...rule, job, payload: {} })];
    const scheduler = createScheduler({ database: db.database, source: 'shop', schedules });
    await scheduler.start();
    await scheduler.stop();

    const [heading = '', row = ''] = (await run('list')).stdout.trimEnd().split('\n');
    expect(heading).toMatch(/^SCHEDULE +CRON +TIME ZONE +JOB +NEXT +LAST +PAUSED BY +REASON$/);
    expect(row.split(/ {2,}/)).toEqual([
      ...[
        'daily',
        '0 11 * * *',
        'Asia/Kolkata',
        'report.send.v1',
        expect.stringMatching(NEXT),
        '-',
        '-',
        '-',
      ],
    ]);

    const paused = await run('pause daily', ADA);
    expect(paused.stdout).toBe('Schedule daily is paused: it fires no more until it is resumed.\n');
    const again = await run('pause daily', ADA);
    expect([again.exitCode, complaint(again)]).toEqual([
      1,
      expect.stringMatching(/paused already, by ada at .*: ticket 4711/),
    ]);
    expect(JSON.parse((await run('list --json')).stdout).schedules).toMatchObject([
      { schedule: 'daily', pausedBy: 'ada', pauseReason: 'ticket 4711', lastTick: null },
    ]);

    const resumed = await run('resume daily --json', ADA);
    expect(JSON.parse(resumed.stdout)).toMatchObject({ pausedBy: null, nextAt: expect.stringMatching(NEXT) });

    const unasked = await run('remove daily', ADA);
    expect([unasked.exitCode, complaint(unasked)]).toEqual([2, expect.stringContaining('say --yes')]);
    expect((await run('remove daily --yes', ADA)).stdout).toBe('Schedule daily is removed.\n');
    const gone = await run('pause daily', ADA);
    expect([gone.exitCode, complaint(gone)]).toEqual([1, 'there is no schedule "daily"']);
  }, 60_000);
});
