import { setTimeout as wait } from 'node:timers/promises';
import type { Metadata, requestCallback } from '@grpc/grpc-js';
import { backoffMs } from '../job/retry.ts';
import { MESSAGING_DESTINATION_NAME } from '../trace/semconv.ts';
import { type PubSubConnection, topicPath } from './connection.ts';
import { grpcCode, grpcStatus } from './grpc-status.ts';
import type { MessageSink } from './message-sink.ts';
import { type TimeOperation, timeOperations } from './operation-metrics.ts';
import { routingHeader } from './routing-header.ts';
import { decodePublishResponse, encodePublishRequest } from './wire.ts';

export interface BatchSinkOptions {
  /** How long one batch is tried, retries of transient faults included, in ms. Default 60_000. */
  readonly timeoutMs?: number;
}

/** Transient by Pub/Sub's own configuration of `Publish`. */
const RETRIED: ReadonlySet<number | undefined> = new Set([
  grpcStatus.ABORTED,
  grpcStatus.CANCELLED,
  grpcStatus.INTERNAL,
  grpcStatus.RESOURCE_EXHAUSTED,
  grpcStatus.UNKNOWN,
  grpcStatus.UNAVAILABLE,
  grpcStatus.DEADLINE_EXCEEDED,
]);

const ATTEMPT_TIMEOUT_MS = 15_000;
const BACKOFF = { maxAttempts: Number.POSITIVE_INFINITY, minBackoffMs: 100, maxBackoffMs: 5_000 };

/**
 * Sends whole batches over the generated client's channel.
 *
 * The hand-written client takes messages one by one and costs several times the CPU; whoever has a batch already, as our
 * publisher does, has no use for its queues.
 */
export function createBatchSink(connection: PubSubConnection, options: BatchSinkOptions = {}): MessageSink {
  const timeoutMs = options.timeoutMs ?? 60_000;
  const timed = new Map<string, TimeOperation>();
  const timeOf = (topic: string): TimeOperation => {
    let time = timed.get(topic);
    if (!time) {
      time = timeOperations('send', { [MESSAGING_DESTINATION_NAME]: topic });
      timed.set(topic, time);
    }
    return time;
  };
  const publish: MessageSink['publish'] = async (topic, messages) => {
    const path = topicPath(connection.projectId, topic);
    const request = encodePublishRequest(path, messages);
    const deadlineMs = Date.now() + timeoutMs;
    for (let attempt = 1; ; attempt++) {
      try {
        // An attempt that hangs leaves time for another, on a fresh connection.
        return await publishOnce(
          connection,
          path,
          request,
          Math.min(deadlineMs, Date.now() + ATTEMPT_TIMEOUT_MS),
        );
      } catch (error) {
        const waitMs = backoffMs(attempt, BACKOFF);
        if (!RETRIED.has(grpcCode(error)) || Date.now() + waitMs >= deadlineMs) throw error;
        await wait(waitMs);
      }
    }
  };
  return {
    publish: (topic, messages) => timeOf(topic)(publish(topic, messages)),
    close: () => connection.close(),
  };
}

interface PublisherStub {
  makeUnaryRequest(
    path: string,
    serialize: (request: Buffer) => Buffer,
    deserialize: (bytes: Buffer) => string[],
    request: Buffer,
    metadata: Metadata,
    options: { readonly deadline: number },
    callback: requestCallback<string[]>,
  ): unknown;
}

async function publishOnce(
  connection: PubSubConnection,
  topic: string,
  request: Buffer,
  deadline: number,
): Promise<string[]> {
  await connection.publisher.initialize();
  // The generated client types its stub as a bag of functions; it is a gRPC client with the right credentials.
  const stub = (await connection.publisher.publisherStub) as unknown as PublisherStub;
  return new Promise((resolve, reject) => {
    stub.makeUnaryRequest(
      '/google.pubsub.v1.Publisher/Publish',
      (bytes) => bytes,
      decodePublishResponse,
      request,
      routingHeader('topic', topic),
      { deadline },
      (error, ids) => (error ? reject(error) : resolve(ids ?? [])),
    );
  });
}
