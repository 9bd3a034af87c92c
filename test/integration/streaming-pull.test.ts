import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { type Emulator, startEmulator } from '../../emulator/index.ts';
import { createPublisher } from '../../publisher/index.ts';
import {
  applyTopology,
  connect,
  createBatchSink,
  createStreamingPullSource,
  defineJob,
  done,
  jobTopology,
  type PubSubConnection,
  retry,
} from '../../shared/index.ts';
import { createWorker, type Worker } from '../../subscriber/index.ts';
import { createGate } from '../support/gate.ts';

/** What only the streaming pull source does, and only where the broker counts flow control. */
describe('streaming pull', () => {
  const payload = z.strictObject({ text: z.string() });
  const job = defineJob({ name: 'test.job', version: 1, topic: 'jobs', payload });
  let emulator: Emulator;
  let connection: PubSubConnection;
  const workers: Worker[] = [];

  beforeEach(async () => {
    emulator = await startEmulator();
    connection = await connect({ projectId: 'test', emulatorHost: emulator.host });
    await applyTopology(connection, jobTopology({ topic: 'jobs', maxDeliveryAttempts: 10 }));
  });

  afterEach(async () => {
    for (const worker of workers.splice(0)) await worker.stop();
    await connection.close();
    await emulator.close();
  });

  function newWorker(options: { readonly maxOutstandingMessages?: number } = {}): Worker {
    const source = createStreamingPullSource(connection, { subscription: 'jobs-worker', ...options });
    const sink = createBatchSink(connection);
    const worker = createWorker({ source, sink, topic: 'jobs', deadLetterTopic: 'jobs-dead-letters' });
    workers.push(worker);
    return worker;
  }

  test('a worker that stops while its streams are still opening stops quietly', async () => {
    const worker = newWorker();
    await worker.start();
    expect(await worker.stop()).toEqual({ handedBack: 0 });
  });

  test('postponed jobs do not keep the others from being delivered', async () => {
    const worker = newWorker({ maxOutstandingMessages: 10 });
    const good = createGate();
    worker.handle(job, async ({ payload: { text } }) => {
      if (text !== 'good') return retry('later', { afterMs: 600_000 });
      good.open();
      return done();
    });
    await worker.start();
    const publisher = createPublisher({ sink: createBatchSink(connection), source: 'test' });
    const postponed = Array.from({ length: 40 }, () => ({ payload: { text: 'bad' } }));
    await publisher.publishAll(job, postponed);
    await publisher.publish(job, { text: 'good' });
    await good.opened;
  });

  test('stopping takes seconds, not minutes, when Pub/Sub has gone and an ack is still to be sent', async () => {
    const worker = newWorker();
    const begun = createGate();
    const mayFinish = createGate();
    worker.handle(job, async () => {
      begun.open();
      await mayFinish.opened;
      return done();
    });
    await worker.start();
    await createPublisher({ sink: createBatchSink(connection), source: 'test' }).publish(job, { text: 'x' });
    await begun.opened;
    await emulator.close();
    mayFinish.open();
    await worker.stop(); // the test's own time-out is the judge
  });

  test('a job that wants more attempts than Pub/Sub allows is refused at the start', async () => {
    const worker = newWorker();
    const stubborn = defineJob({
      ...{ name: 'test.stubborn', version: 1, topic: 'jobs', payload },
      retry: { maxAttempts: 10 },
    });
    worker.handle(stubborn, async () => done());
    await expect(worker.start()).rejects.toThrow(
      'test.stubborn.v1: maxAttempts 10, but Pub/Sub forwards after 10',
    );
  });
});
