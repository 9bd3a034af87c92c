import { z } from 'zod';
import {
  connect,
  createBatchSink,
  createStreamingPullSource,
  defineJob,
  done,
  readConfig,
  startTelemetry,
} from '../../shared/index.ts';
import { openDatabase } from '../../shared/storage/database.ts';
import { createInbox, createWorker } from '../../subscriber/index.ts';

/** A worker of the topic (first argument) that says so once it is at a point (second), and waits there to be killed. */
const [topic = '', killAt = ''] = process.argv.slice(2);
const { databaseUrl = '', pubsubEmulatorHost: emulatorHost, projectId } = readConfig();
startTelemetry({ serviceName: 'worker' });
const connection = await connect({ projectId, emulatorHost });
const subscription = `${topic}-worker`;
const worker = createWorker({
  source: createStreamingPullSource(connection, { subscription, ackDeadlineMs: 10_000 }),
  sink: createBatchSink(connection),
  topic,
  deadLetterTopic: `${topic}-dead`,
  inbox: createInbox({
    database: openDatabase({ connectionString: databaseUrl }),
    consumer: subscription,
    claimMs: 1_000,
  }),
});
const isHere = (point: string) => {
  if (killAt !== point) return undefined;
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
