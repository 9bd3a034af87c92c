import { z } from 'zod';
import {
  connect,
  createBatchSink,
  createStreamingPullSource,
  defineJob,
  readConfig,
} from '../../shared/index.ts';
import { openDatabase } from '../../shared/storage/database.ts';
import { createInbox, createLimits, createWorker } from '../../subscriber/index.ts';

/** A worker of the topic (first argument) that says so once it runs a job, the only one that may, and waits there to be killed. */
const [topic = ''] = process.argv.slice(2);
const { databaseUrl = '', pubsubEmulatorHost: emulatorHost, projectId } = readConfig();
const connection = await connect({ projectId, emulatorHost });
const database = openDatabase({ connectionString: databaseUrl });
const subscription = `${topic}-worker`;
const worker = createWorker({
  source: createStreamingPullSource(connection, { subscription, ackDeadlineMs: 10_000 }),
  sink: createBatchSink(connection),
  topic,
  deadLetterTopic: `${topic}-dead`,
  inbox: createInbox({ database, consumer: subscription, claimMs: 2_000 }),
  // What this one hands back comes to the other worker soon, if not at once.
  limits: createLimits({ database, retryMs: 1_000 }),
});
const payload = z.strictObject({ text: z.string() });
const note = defineJob({ name: 'note.keep', version: 1, topic, payload });
worker.handle(
  note,
  () => {
    process.stdout.write('running\n');
    return new Promise(() => {});
  },
  { limits: [{ name: 'one', maxRunning: 1 }] },
);
await worker.start();
