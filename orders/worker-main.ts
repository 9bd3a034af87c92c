import { createPublisher } from '../publisher/index.ts';
import {
  connect,
  createBatchSink,
  createLogger,
  createStreamingPullSource,
  onShutdown,
  readConfig,
  startTelemetry,
} from '../shared/index.ts';
import { createWorker } from '../subscriber/index.ts';
import { DEAD_LETTER_TOPIC, JOBS_SUBSCRIPTION, JOBS_TOPIC } from './contract.ts';
import { createPartners } from './partners/partner-client.ts';
import { registerOrderHandlers } from './worker.ts';

/** The worker process. Start as many as are needed; SIGTERM lets running jobs finish. */
const config = readConfig();
const serviceName = config.serviceName ?? 'order-worker';
const logger = createLogger({ serviceName, level: config.logLevel, projectId: config.projectId });
const telemetry = startTelemetry({
  serviceName,
  otlpEndpoint: config.otlpEndpoint,
  batch: { scheduledDelayMs: config.spanDelayMs },
});
const connection = await connect({ projectId: config.projectId, emulatorHost: config.pubsubEmulatorHost });
const sink = createBatchSink(connection);
const publisher = createPublisher({ sink, source: serviceName });
const worker = createWorker({
  source: createStreamingPullSource(connection, {
    subscription: JOBS_SUBSCRIPTION,
    ackDeadlineMs: config.ackDeadlineMs,
  }),
  sink,
  topic: JOBS_TOPIC,
  deadLetterTopic: DEAD_LETTER_TOPIC,
  logger,
});
registerOrderHandlers(worker, {
  publisher,
  partners: createPartners(config.partnersUrl ?? 'http://127.0.0.1:8090'),
});

const stop = async () => {
  logger.info('worker stopping');
  try {
    const { handedBack } = await worker.stop();
    await publisher.close();
    await connection.close();
    logger.info({ handedBack }, 'worker stopped');
  } finally {
    await telemetry.shutdown(); // whatever failed, the last job's spans leave
  }
};
onShutdown(stop);

await worker.start();
logger.info('worker started');
// Whoever started this process as a child may wait for this instead of guessing.
process.send?.('ready');
