import { randomUUID } from 'node:crypto';
import { checkNumbers } from '../options.ts';
import { type AckBatcher, createAckBatcher } from './ack-batcher.ts';
import { type PubSubConnection, subscriptionPath } from './connection.ts';
import type { IncomingMessage, MessageListener, MessageSource } from './message-source.ts';
import { type OpenPullStream, openPullStream } from './pull-stream.ts';
import { checkSubscription } from './subscription-check.ts';

export interface StreamingPullOptions {
  /** Short or full name. */
  readonly subscription: string;
  /**
   * Parallel streams. One carries about 10 MB/s from the real service, and about 2,000 messages/s from Google's emulator.
   * Default 5, as Google's client.
   */
  readonly streams?: number;
  /** Messages that may be here unacked, over all streams. Default 1_000. */
  readonly maxOutstandingMessages?: number;
  /** Their bytes. Default 100 MiB. */
  readonly maxOutstandingBytes?: number;
  /** How soon Pub/Sub redelivers when this process dies, in ms: 10_000 to 600_000. Default 30_000. */
  readonly ackDeadlineMs?: number;
}

/** Below this a delay is waited for here, because Pub/Sub counts deadlines in whole seconds. */
const WHOLE_SECOND_MS = 1_000;

/** Messages by streaming pull on the generated client. */
export function createStreamingPullSource(
  connection: PubSubConnection,
  options: StreamingPullOptions,
): MessageSource {
  checkNumbers('createStreamingPullSource', options, {
    streams: { min: 1, whole: true },
    maxOutstandingMessages: { min: 1 },
    maxOutstandingBytes: { min: 1 },
    ackDeadlineMs: { min: 10_000, max: 600_000 },
  });
  const subscription = subscriptionPath(connection.projectId, options.subscription);
  const ackDeadlineMs = options.ackDeadlineMs ?? 30_000;
  const ackDeadlineSeconds = Math.round(ackDeadlineMs / 1_000);
  const maxMessages = options.maxOutstandingMessages ?? 1_000;
  const streamCount = Math.min(options.streams ?? 5, maxMessages);
  let postponedSinceRenewal = 0;
  const postponed = new Map<string, NodeJS.Timeout>();
  let streams: OpenPullStream[] = [];
  let acks: AckBatcher | undefined;
  let closed: Promise<void> | undefined;

  const handBackPostponed = () => {
    for (const [ackId, timer] of postponed) {
      clearTimeout(timer);
      acks?.modifyDeadline(ackId, 0);
    }
    postponed.clear();
  };

  const pause = () => {
    for (const stream of streams) stream.close();
  };

  const postpone = (ackId: string, afterMs: number) => {
    const handBack = () => {
      postponed.delete(ackId);
      acks?.modifyDeadline(ackId, 0);
    };
    postponed.set(ackId, setTimeout(handBack, afterMs));
  };

  /** Postponed messages keep their place in a stream's allowance: before they take half of it the streams are renewed. */
  const makeRoom = () => {
    postponedSinceRenewal += 1;
    if (postponedSinceRenewal < maxMessages / 2) return;
    postponedSinceRenewal = 0;
    for (const stream of streams) stream.renew();
  };

  const stop = async () => {
    pause();
    await Promise.all(streams.map(({ ended }) => ended));
    handBackPostponed();
    await acks?.flush();
  };

  return {
    subscription: options.subscription.split('/').at(-1) ?? options.subscription,
    ackDeadlineMs,
    async start(listener: MessageListener) {
      const facts = await checkSubscription(connection, subscription);
      if (closed) return; // it was stopped meanwhile
      if (facts) listener.onSubscription?.(facts);
      acks = createAckBatcher(connection, subscription, (error) => listener.onError(error));
      const clientId = randomUUID();
      const perStream = {
        subscription,
        ackDeadlineSeconds,
        maxOutstandingMessages: Math.ceil(maxMessages / streamCount),
        maxOutstandingBytes: Math.ceil((options.maxOutstandingBytes ?? 100 * 1024 * 1024) / streamCount),
        clientId,
        onMessage: (message: IncomingMessage) => listener.onMessage(message),
        onError: (error: Error) => listener.onError(error),
      };
      streams = Array.from({ length: streamCount }, () => openPullStream(connection, perStream));
    },
    pause,
    ack: (message) => acks?.ack(message.ackId),
    nack(message, afterMs) {
      if (afterMs > 0 && afterMs < WHOLE_SECOND_MS) {
        postpone(message.ackId, afterMs);
        return;
      }
      acks?.modifyDeadline(message.ackId, Math.round(afterMs / 1_000));
      if (afterMs > 0) makeRoom();
    },
    extend(messages) {
      for (const message of messages) acks?.modifyDeadline(message.ackId, ackDeadlineSeconds);
    },
    close() {
      closed ??= stop();
      return closed;
    },
  };
}
