import { defineDeliverJob } from '../../publisher/campaign/index.ts';
import {
  connect,
  createBatchSink,
  createStreamingPullSource,
  readConfig,
  startTelemetry,
} from '../../shared/index.ts';
import { openDatabase } from '../../shared/storage/database.ts';
import {
  createCampaignLedger,
  createFences,
  createInbox,
  createWorker,
  handleDeliveries,
} from '../../subscriber/index.ts';
import { createRemoteMail } from '../support/remote-mail.ts';

/** A worker of the topic (first argument) that sends through the partner at an address (second). It says so once it has started. */
const [topic = '', mailUrl = ''] = process.argv.slice(2);
const { databaseUrl = '', pubsubEmulatorHost: emulatorHost, projectId } = readConfig();
startTelemetry({ serviceName: 'worker' });
const connection = await connect({ projectId, emulatorHost });
const database = openDatabase({ connectionString: databaseUrl });
const subscription = `${topic}-worker`;
const worker = createWorker({
  source: createStreamingPullSource(connection, { subscription, ackDeadlineMs: 10_000 }),
  sink: createBatchSink(connection),
  topic,
  deadLetterTopic: `${topic}-dead`,
  inbox: createInbox({ database, consumer: subscription, claimMs: 1_000 }),
  fences: createFences({ database }),
});
handleDeliveries(worker, {
  job: defineDeliverJob({ topic }),
  ledger: createCampaignLedger(database),
  channels: [createRemoteMail(mailUrl)],
  askAfterMs: 0,
});
await worker.start();
process.stdout.write('started\n');
