import { z } from 'zod';
import {
  connect,
  createBatchSink,
  createStreamingPullSource,
  defineJob,
  done,
  startTelemetry,
} from '../../shared/index.ts';
import { openDatabase } from '../../shared/storage/database.ts';
import { createInbox, createWorker } from '../../subscriber/index.ts';

/** A worker that says so once it is at the point named by KILL_AT, and waits there to be killed. */
const {
  DATABASE_URL = '',
  PUBSUB_EMULATOR_HOST: emulatorHost,
  PROJECT: projectId,
  TOPIC: topic = '',
} = process.env;
startTelemetry({ serviceName: 'worker' });
const connection = await connect({ projectId, emulatorHost });
const subscription = `${topic}-worker`;
const worker = createWorker({
  source: createStreamingPullSource(connection, { subscription, ackDeadlineMs: 10_000 }),
  sink: createBatchSink(connection),
  topic,
  deadLetterTopic: `${topic}-dead`,
  inbox: createInbox({
    database: openDatabase({ connectionString: DATABASE_URL }),
    consumer: subscription,
    claimMs: 1_000,
  }),
});
const isHere = (point: string) => {
  if (process.env['KILL_AT'] !== point) return undefined;
  process.stdout.write(`${point}\n`);
  return new Promise(() => {});
};
const note = defineJob({
  name: 'note.keep',
  version: 1,
  topic,
  payload: z.strictObject({ text: z.string() }),
});
worker.handle(note, async ({ jobId }) => {
  await isHere('handler');
  return done(async (tx) => {
    await tx.query('INSERT INTO effect VALUES ($1)', [jobId]);
    await isHere('effect');
  });
});
await worker.start();
