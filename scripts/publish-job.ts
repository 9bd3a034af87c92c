import { JOBS } from '../orders/contract.ts';
import { createPublisher } from '../publisher/index.ts';
import {
  type Config,
  connect,
  createBatchSink,
  type Job,
  startTelemetry,
  ThroughlineError,
} from '../shared/index.ts';
import { checkEmulator } from './system/emulator-check.ts';

export interface PublishJobOptions {
  readonly payload: string;
  readonly orderKey?: string;
  readonly jobId?: string;
  /** Default: the newest. */
  readonly version?: number;
  readonly json?: boolean;
}

/** What was asked for cannot be published. */
export class PublishJobError extends ThroughlineError {
  override readonly name = 'PublishJobError';
  readonly code = 'PUBLISH_JOB';
}

/** How long publishing may take, in ms: somebody sits before it. */
const TIMEOUT_MS = 10_000;

/** Publishes one of the reference system's jobs and prints what Pub/Sub said. */
export async function publishJob(name: string, options: PublishJobOptions, config: Config): Promise<void> {
  const job = findJob(name, options.version);
  const payload = parsePayload(options.payload);
  if (config.pubsubEmulatorHost) await checkEmulator(config.pubsubEmulatorHost);
  const telemetry = startTelemetry({
    serviceName: 'publish-job',
    otlpEndpoint: config.otlpEndpoint,
    pushesMetrics: config.pushesMetrics,
  });
  const connection = await connect({ projectId: config.projectId, emulatorHost: config.pubsubEmulatorHost });
  try {
    const sink = createBatchSink(connection, { timeoutMs: TIMEOUT_MS });
    const publisher = createPublisher({ sink, source: 'publish-job' });
    const published = await publisher.publish(job, payload, {
      ...(options.orderKey !== undefined && { orderKey: options.orderKey }),
      ...(options.jobId !== undefined && { jobId: options.jobId }),
    });
    const told = { job: job.type, topic: job.topic, ...published };
    console.log(options.json ? JSON.stringify(told) : formatTold(told));
  } finally {
    await connection.close();
    await telemetry.shutdown();
  }
}

function findJob(name: string, version: number | undefined): Job {
  const named = JOBS.filter((job) => job.name === name);
  const wanted = version === undefined ? named.at(-1) : named.find((job) => job.version === version);
  if (wanted) return wanted;
  const known = JOBS.map((job) => `${job.name} (version ${job.version})`).join(', ');
  throw new PublishJobError(`no job "${name}"${version ? ` of version ${version}` : ''}; there are ${known}`);
}

function parsePayload(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new PublishJobError(`--payload: expected JSON: ${(cause as Error).message}`, { cause });
  }
}

function formatTold(told: { job: string; topic: string; jobId: string; messageId: string }): string {
  return `published ${told.job} to ${told.topic}: job ${told.jobId}, message ${told.messageId}`;
}
