import { randomUUID } from 'node:crypto';
import { onTestFinished } from 'vitest';
import { z } from 'zod';
import { createPublisher, type Publisher, type PublisherOptions } from '../../publisher/index.ts';
import {
  applyTopology,
  createBatchSink,
  defineJob,
  type JobDefinition,
  jobTopology,
  type MessageSink,
} from '../../shared/index.ts';
import { createWorker, type Worker, type WorkerOptions } from '../../subscriber/index.ts';
import { normalisedTree, type SpanRecord } from '../../testing/index.ts';
import { createSettledLog, type SettledLog } from './settled-log.ts';
import { type SourceKind, STREAMING_PULL } from './source-kind.ts';
import type { Stage } from './stage.ts';

export interface ChannelOptions {
  readonly source?: SourceKind;
  readonly ordered?: boolean;
  readonly ackDeadlineMs?: number;
}

export interface Channel {
  readonly topic: string;
  readonly subscription: string;
  readonly deadLetterTopic: string;
  readonly sink: MessageSink;
  readonly publisher: Publisher;
  readonly settled: SettledLog;
  newPublisher(options?: Partial<PublisherOptions>): Publisher;
  /** A job on this topic, `note.keep` version 1 unless told otherwise, that is retried almost at once. */
  job(definition?: Partial<JobDefinition<typeof note>>): ReturnType<typeof defineJob<typeof note>>;
  /** Starts a worker that stops when the test ends. `register` is called before it pulls. */
  work(register: (worker: Worker) => void, options?: Partial<WorkerOptions>): Promise<Worker>;
  /** Publishes as a client that knows nothing of us; the message's id. */
  publishPlainly(data: Uint8Array | string, attributes?: Readonly<Record<string, string>>): Promise<string>;
  /** Takes dead letters until there are `count`. */
  deadLetters(count: number): Promise<DeadLetter[]>;
  /** Messages of the worker's subscription or of the dead-letter one that could be pulled this instant. */
  pullNow(which?: 'work' | 'dead-letters'): Promise<number>;
  /** The spans of every trace that touched this channel. */
  spans(): Promise<SpanRecord[]>;
  /** Those spans as a normalised tree, with the topic called `jobs` and the dead-letter topic `dead`. */
  tree(): Promise<string>;
}

export interface DeadLetter {
  readonly data: Buffer;
  readonly attributes: Readonly<Record<string, string>>;
  readonly orderingKey: string;
}

const note = z.strictObject({ text: z.string() });

const QUICK_RETRY = { maxAttempts: 5, minBackoffMs: 10, maxBackoffMs: 20 };

export async function createChannel(stage: Stage, options: ChannelOptions = {}): Promise<Channel> {
  const topic = `t-${randomUUID()}`;
  const subscription = `${topic}-worker`;
  const deadLetterTopic = `${topic}-dead`;
  const { connection, collector } = stage;
  await applyTopology(
    connection,
    jobTopology({ topic, subscription, deadLetterTopic, ordered: options.ordered ?? false }),
  );
  const sink = createBatchSink(connection);
  const settled = createSettledLog();
  const workers: Worker[] = [];
  onTestFinished(async () => {
    await Promise.all(workers.map((worker) => worker.stop()));
  });

  const newPublisher: Channel['newPublisher'] = (more) => createPublisher({ sink, source: 'shop', ...more });

  const spans = async () => {
    await stage.flush();
    const touched = new Set(
      collector.spans.filter(({ name }) => name.includes(topic)).map(({ traceId }) => traceId),
    );
    return collector.spans.filter(({ traceId }) => touched.has(traceId));
  };

  const pull = async (name: string, maxMessages: number) => {
    const request = { subscription: `projects/${connection.projectId}/subscriptions/${name}`, maxMessages };
    const [{ receivedMessages }] = await connection.subscriber.pull({ ...request, returnImmediately: true });
    return { request, received: receivedMessages ?? [] };
  };

  const takeDeadLetters = async (count: number): Promise<DeadLetter[]> => {
    const found: DeadLetter[] = [];
    const name = `projects/${connection.projectId}/subscriptions/${deadLetterTopic}`;
    while (found.length < count) {
      const request = { subscription: name, maxMessages: count - found.length };
      const [{ receivedMessages }] = await connection.subscriber.pull(request);
      const received = receivedMessages ?? [];
      if (received.length === 0) continue;
      await connection.subscriber.acknowledge({
        subscription: name,
        ackIds: received.map(({ ackId }) => ackId ?? ''),
      });
      found.push(
        ...received.map(({ message }) => ({
          data: Buffer.from((message?.data as Uint8Array | undefined) ?? []),
          attributes: { ...message?.attributes },
          orderingKey: message?.orderingKey ?? '',
        })),
      );
    }
    return found;
  };

  return {
    topic,
    subscription,
    deadLetterTopic,
    sink,
    settled,
    newPublisher,
    publisher: newPublisher(),
    job: (definition) =>
      defineJob({ name: 'note.keep', version: 1, payload: note, retry: QUICK_RETRY, ...definition, topic }),
    async work(register, more = {}) {
      const kind = options.source ?? STREAMING_PULL;
      const { ackDeadlineMs } = options;
      const source = kind.create(connection, { subscription, ...(ackDeadlineMs && { ackDeadlineMs }) });
      const worker = createWorker({ source, sink, topic, deadLetterTopic, onSettled: settled.add, ...more });
      workers.push(worker);
      register(worker);
      await worker.start();
      return worker;
    },
    async publishPlainly(data, attributes = {}) {
      const message = { data: Buffer.from(data), attributes };
      const [id = ''] = await sink.publish(topic, [message]);
      return id;
    },
    deadLetters: takeDeadLetters,
    async pullNow(which = 'work') {
      const { received } = await pull(which === 'work' ? subscription : deadLetterTopic, 1_000);
      return received.length;
    },
    spans,
    async tree() {
      return normalisedTree(await spans())
        .replaceAll(deadLetterTopic, 'dead')
        .replaceAll(topic, 'jobs');
    },
  };
}
