import { z } from 'zod';
import { createScheduler, defineSchedule } from '../../publisher/index.ts';
import {
  createBatchSink,
  createStreamingPullSource,
  defineJob,
  done,
  readConfig,
} from '../../shared/index.ts';
import { instrument } from '../../shared/trace/instrumentation.ts';
import { createInbox, createLimits, createWorker } from '../../subscriber/index.ts';
import { REPORTS } from './reports.ts';

/** What the library has and the shop does not use: a schedule, and a job with a limit. */
const config = readConfig();
instrument({ trustTraceparent: false });
const { runMain, runProcess } = await import('../../orders/process.ts');
await runMain(() =>
  runProcess(config, 'aside', async ({ name, connection, database }) => {
    const { topic, subscription, deadLetterTopic } = REPORTS;
    const job = defineJob({ name: 'report.send', version: 1, topic, payload: z.strictObject({}) });
    const worker = createWorker({
      source: createStreamingPullSource(connection, { subscription, ackDeadlineMs: config.ackDeadlineMs }),
      sink: createBatchSink(connection),
      topic,
      deadLetterTopic,
      inbox: createInbox({ database, consumer: subscription }),
      limits: createLimits({ database }),
    });
    worker.handle(job, async () => done(), { limits: [{ name: 'one-report', maxRunning: 1 }] });
    const schedules = [
      defineSchedule({ name: 'report', cron: '0 3 * * *', timeZone: 'UTC', job, payload: {} }),
    ];
    const scheduler = createScheduler({ database, source: name, schedules });
    await Promise.all([worker.start(), scheduler.start()]);
    return { stop: () => Promise.all([worker.stop(), scheduler.stop()]) };
  }),
);
