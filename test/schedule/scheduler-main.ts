import { z } from 'zod';
import { createScheduler, defineSchedule } from '../../publisher/index.ts';
import { defineJob, readConfig } from '../../shared/index.ts';
import { openDatabase } from '../../shared/storage/database.ts';

/** A scheduler that says so once it has enqueued the job of a tick, and never commits: it waits to be killed. */
const { databaseUrl = '' } = readConfig();
const database = openDatabase({ connectionString: databaseUrl, maxConnections: 3 });
const job = defineJob({ name: 'report.send', version: 1, topic: 'reports', payload: z.strictObject({}) });
const scheduler = createScheduler({
  database: {
    ...database,
    transaction: (work, options) =>
      database.transaction(async (tx) => {
        await work(tx);
        process.stdout.write('enqueued\n');
        return new Promise<never>(() => {});
      }, options),
  },
  source: 'shop',
  schedules: [defineSchedule({ name: 'report', cron: '0 * * * *', timeZone: 'UTC', job, payload: {} })],
  clock: async () => new Date(process.argv[2] ?? ''),
});
await scheduler.start();
