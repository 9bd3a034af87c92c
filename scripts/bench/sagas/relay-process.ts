import { z } from 'zod';
import { createOutbox, createRelay } from '../../../publisher/index.ts';
import {
  applyTopology,
  connect,
  createBatchSink,
  createStreamingPullSource,
  defineJob,
  done,
  jobTopology,
  startTelemetry,
} from '../../../shared/index.ts';
import { openDatabase } from '../../../shared/storage/index.ts';
import { createInbox, createWorker } from '../../../subscriber/index.ts';
import { told } from '../child.ts';
import { nowMs } from '../messaging/contender.ts';

export type RelayRole = 'relay' | 'worker';

export interface RelayAssignment {
  readonly role: RelayRole;
  readonly databaseUrl: string;
  readonly emulatorHost: string;
  readonly otlpEndpoint: string;
  readonly topic: string;
  readonly warmUp: number;
  readonly jobs: number;
}

export interface RelaySide {
  /** The relay: when it began. The worker: when it handled the last job. In ms since the epoch, with fractions. */
  readonly atMs: number;
  readonly cpuMs: number;
}

const assignment = JSON.parse(process.argv[2] ?? '') as RelayAssignment;
const { topic } = assignment;
const telemetry = startTelemetry({ serviceName: assignment.role, otlpEndpoint: assignment.otlpEndpoint });
const database = openDatabase({ connectionString: assignment.databaseUrl });
const connection = await connect({ projectId: 'bench', emulatorHost: assignment.emulatorHost });
const sink = createBatchSink(connection);
await applyTopology(connection, jobTopology({ topic }));
const job = defineJob({
  name: 'bench.job',
  version: 1,
  topic,
  payload: z.strictObject({ number: z.int(), text: z.string() }),
});
const FILLER = 'x'.repeat(200);
const FILL_BATCH = 500;

/** Fills the outbox in commits of many jobs: who enqueues is not measured. */
async function enqueue(jobs: number): Promise<void> {
  const outbox = createOutbox({ database, source: 'bench' });
  for (let number = 0; number < jobs; number += FILL_BATCH) {
    const batch = Array.from({ length: Math.min(FILL_BATCH, jobs - number) }, (_, index) => ({
      payload: { number: number + index, text: FILLER },
      orderKey: `O-${number + index}`,
    }));
    await database.transaction((tx) => outbox.enqueueAll(tx, job, batch));
  }
}

async function relaySide(): Promise<RelaySide> {
  const warming = createRelay({ database, sink });
  process.send?.('ready');
  await told('warm up');
  const [stop, go] = [told('stop'), told('go')];
  await warming.start();
  await enqueue(assignment.warmUp);
  await idle();
  await warming.stop();
  await enqueue(assignment.jobs);
  process.send?.('filled');
  await go;
  const relay = createRelay({ database, sink });
  const before = process.cpuUsage();
  const atMs = nowMs();
  await relay.start();
  await stop;
  const side = { atMs, cpuMs: cpuMs(before) };
  await relay.stop();
  return side;
}

/** Resolves when every job that was enqueued is finished. */
async function idle(): Promise<void> {
  for (;;) {
    const { rows } = await database.query('SELECT FROM throughline.outbox LIMIT 1');
    if (rows.length === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function workerSide(): Promise<RelaySide> {
  const { promise: all, resolve: finished } = Promise.withResolvers<void>();
  let handled = 0;
  let before = process.cpuUsage();
  const worker = createWorker({
    source: createStreamingPullSource(connection, {
      subscription: `${topic}-worker`,
      maxOutstandingMessages: MAX_OUTSTANDING,
    }),
    sink,
    topic,
    deadLetterTopic: `${topic}-dead-letters`,
    maxInFlight: MAX_OUTSTANDING,
    inbox: createInbox({ database, consumer: `${topic}-worker` }),
  });
  worker.handle(job, async () => {
    handled += 1;
    if (handled === assignment.warmUp) {
      before = process.cpuUsage();
      process.send?.('warm');
    }
    if (handled === assignment.warmUp + assignment.jobs) finished();
    return done();
  });
  await worker.start();
  process.send?.('ready');
  await all;
  const side = { atMs: nowMs(), cpuMs: cpuMs(before) };
  await worker.stop();
  return side;
}

const MAX_OUTSTANDING = 2_000;

function cpuMs(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}

const side = await (assignment.role === 'relay' ? relaySide() : workerSide());
await connection.close();
await database.close();
await telemetry.shutdown();
process.send?.(side, () => process.exit());
