import { Duration, type Message, type Subscription, SubscriptionCloseBehaviors } from '@google-cloud/pubsub';
import { checkNumbers } from '../options.ts';
import { type PubSubConnection, subscriptionPath } from './connection.ts';
import type { IncomingMessage, MessageListener, MessageSource } from './message-source.ts';
import { checkSubscription } from './subscription-check.ts';

export interface ClientSourceOptions {
  /** Short or full name. */
  readonly subscription: string;
  /** Default 1_000. */
  readonly maxOutstandingMessages?: number;
  /** Default 100 MiB. */
  readonly maxOutstandingBytes?: number;
  /** The client adapts its own deadlines upwards from this, in ms. Default 30_000. */
  readonly ackDeadlineMs?: number;
  /** Longest time that the client keeps a message leased, in ms. Default 3_600_000. */
  readonly maxLeaseMs?: number;
  /** How long `close` waits for messages that nobody acked or nacked, in ms. Default 5_000. */
  readonly closeTimeoutMs?: number;
}

/**
 * Messages through Google's hand-written subscriber, for teams that want its behaviour and its tuning.
 *
 * It keeps leases by itself, so `extend` has nothing to do; and since its nack cannot carry a delay, a postponed message
 * is held here until it is due.
 */
export function createClientSource(
  connection: PubSubConnection,
  options: ClientSourceOptions,
): MessageSource {
  checkNumbers('createClientSource', options, {
    maxOutstandingMessages: { min: 1 },
    maxOutstandingBytes: { min: 1 },
    ackDeadlineMs: { min: 10_000, max: 600_000 },
    maxLeaseMs: { min: 0 },
    closeTimeoutMs: { min: 0 },
  });
  const name = subscriptionPath(connection.projectId, options.subscription);
  const ackDeadlineMs = options.ackDeadlineMs ?? 30_000;
  const postponed = new Map<string, NodeJS.Timeout>();
  const held = new Map<string, Message>();
  let subscription: Subscription | undefined;
  let paused: Promise<void> | undefined;

  const settle = (ackId: string, how: (message: Message) => void) => {
    const message = held.get(ackId);
    held.delete(ackId);
    postponed.delete(ackId);
    if (message) how(message);
  };
  const handBack = (ackId: string) => settle(ackId, (message) => message.nack());
  // The client stops its stream at once and then waits until what it delivered is acked or nacked.
  const pause = () => {
    paused ??= subscription?.close() ?? Promise.resolve();
    paused.catch(() => {});
  };

  return {
    subscription: options.subscription.split('/').at(-1) ?? options.subscription,
    ackDeadlineMs,
    async start(listener: MessageListener) {
      const facts = await checkSubscription(connection, name);
      if (paused) return; // it was stopped meanwhile
      if (facts) listener.onSubscription?.(facts);
      subscription = connection.pubsub.subscription(name, subscriberOptions(options, ackDeadlineMs));
      subscription.on('error', (error) => listener.onError(error));
      subscription.on('message', (message) => {
        held.set(message.ackId, message);
        listener.onMessage(fromClient(message));
      });
    },
    pause,
    ack: (message) => settle(message.ackId, (own) => own.ack()),
    nack(message, afterMs) {
      if (afterMs === 0) return handBack(message.ackId);
      postponed.set(message.ackId, setTimeout(handBack, afterMs, message.ackId));
    },
    extend: () => {},
    async close() {
      pause();
      for (const [ackId, timer] of postponed) {
        clearTimeout(timer);
        handBack(ackId);
      }
      await paused;
    },
  };
}

function subscriberOptions(options: ClientSourceOptions, ackDeadlineMs: number) {
  return {
    flowControl: {
      maxMessages: options.maxOutstandingMessages ?? 1_000,
      maxBytes: options.maxOutstandingBytes ?? 100 * 1024 * 1024,
      allowExcessMessages: false,
    },
    minAckDeadline: Duration.from({ millis: ackDeadlineMs }),
    maxExtensionTime: Duration.from({ millis: options.maxLeaseMs ?? 3_600_000 }),
    closeOptions: {
      behavior: SubscriptionCloseBehaviors.WaitForProcessing,
      timeout: Duration.from({ millis: options.closeTimeoutMs ?? 5_000 }),
    },
  };
}

function fromClient(message: Message): IncomingMessage {
  return {
    id: message.id,
    data: message.data,
    attributes: message.attributes,
    orderingKey: message.orderingKey || undefined,
    publishedAtMs: message.publishTime.getTime(),
    receivedAtMs: message.received,
    deliveryAttempt: message.deliveryAttempt || undefined,
    ackId: message.ackId,
  };
}
