import { randomUUID } from 'node:crypto';
import type { protos } from '@google-cloud/pubsub';
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
import { type ArrivalCount, createArrivalCount } from './arrival-count.ts';
import { createSettledLog, type SettledLog } from './settled-log.ts';
import { type SourceKind, STREAMING_PULL } from './source-kind.ts';
import type { Stage } from './stage.ts';

export interface ChannelOptions {
  readonly source?: SourceKind;
  readonly ordered?: boolean;
  readonly ackDeadlineMs?: number;
  /** After so many deliveries Pub/Sub itself forwards a message to the dead-letter topic. At least 5. */
  readonly maxDeliveryAttempts?: number;
}

export interface Channel {
  readonly topic: string;
  readonly subscription: string;
  readonly deadLetterTopic: string;
  readonly sink: MessageSink;
  readonly publisher: Publisher;
  readonly settled: SettledLog;
  readonly arrived: ArrivalCount;
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
  const { ordered = false, maxDeliveryAttempts = 20 } = options;
  const names = { topic, subscription, deadLetterTopic };
  await applyTopology(connection, jobTopology({ ...names, ordered, maxDeliveryAttempts }));
  const sink = createBatchSink(connection);
  const settled = createSettledLog();
  const arrived = createArrivalCount();
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

  const path = (name: string) => `projects/${connection.projectId}/subscriptions/${name}`;

  const takeDeadLetters = async (count: number): Promise<DeadLetter[]> => {
    const request = { subscription: path(deadLetterTopic) };
    const found: DeadLetter[] = [];
    while (found.length < count) {
      const maxMessages = count - found.length;
      const [{ receivedMessages }] = await connection.subscriber.pull({ ...request, maxMessages });
      if (!receivedMessages?.length) continue;
      const ackIds = receivedMessages.map(({ ackId }) => ackId ?? '');
      await connection.subscriber.acknowledge({ ...request, ackIds });
      found.push(...receivedMessages.map(({ message }) => toDeadLetter(message)));
    }
    return found;
  };

  return {
    topic,
    subscription,
    deadLetterTopic,
    sink,
    settled,
    arrived,
    newPublisher,
    publisher: newPublisher(),
    job: (definition) =>
      defineJob({ name: 'note.keep', version: 1, payload: note, retry: QUICK_RETRY, ...definition, topic }),
    async work(register, more = {}) {
      const kind = options.source ?? STREAMING_PULL;
      const { ackDeadlineMs } = options;
      const source = arrived.watch(
        kind.create(connection, { subscription, ...(ackDeadlineMs && { ackDeadlineMs }) }),
      );
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
      const [{ receivedMessages }] = await connection.subscriber.pull({
        subscription: path(which === 'work' ? subscription : deadLetterTopic),
        maxMessages: 1_000,
        returnImmediately: true,
      });
      return receivedMessages?.length ?? 0;
    },
    spans,
    async tree() {
      return normalisedTree(await spans())
        .replaceAll(deadLetterTopic, 'dead')
        .replaceAll(topic, 'jobs');
    },
  };
}

type WireMessage = protos.google.pubsub.v1.IPubsubMessage;

function toDeadLetter(message: WireMessage | null | undefined): DeadLetter {
  return {
    data: Buffer.from(message?.data ?? ''),
    attributes: { ...message?.attributes },
    orderingKey: message?.orderingKey ?? '',
  };
}
