/** One delivery as it arrives, before anything is known about it. */
export interface IncomingMessage {
  /** Pub/Sub's message id: the same on every delivery of the message. */
  readonly id: string;
  readonly data: Uint8Array;
  readonly attributes: Readonly<Record<string, string>>;
  readonly orderingKey: string | undefined;
  readonly publishedAtMs: number;
  readonly receivedAtMs: number;
  /** Pub/Sub's count of deliveries from 1; undefined when the subscription has no dead-letter policy. */
  readonly deliveryAttempt: number | undefined;
  /** The implementation's own token for ack, nack and extend. */
  readonly ackId: string;
}

/** What a source has learnt of its subscription, where its role lets it look. */
export interface SubscriptionFacts {
  /** After so many deliveries Pub/Sub itself forwards a message; undefined without a dead-letter policy. */
  readonly maxDeliveryAttempts: number | undefined;
}

export interface MessageListener {
  /** Called once, before pulling begins; what it throws rejects `start`. */
  onSubscription?(facts: SubscriptionFacts): void;
  onMessage(message: IncomingMessage): void;
  /** A fault that the source retries by itself (the stream broke, an ack was refused). For logs and counters. */
  onError(error: Error): void;
}

/**
 * The port through which messages arrive from one subscription.
 *
 * Acks, nacks and extensions are batched and sent soon; `close` sends what is left before it resolves.
 */
export interface MessageSource {
  /** Short name of the subscription, for span names and log lines. */
  readonly subscription: string;
  /** How long Pub/Sub waits for an ack before it redelivers, in ms. */
  readonly ackDeadlineMs: number;
  /** Begins to pull. Errors: rejects when the subscription does not exist. */
  start(listener: MessageListener): Promise<void>;
  /** Stops pulling at once; acks, nacks and extensions still work. Not undone. May be called twice. */
  pause(): void;
  ack(message: IncomingMessage): void;
  /** Hands a message back, to be redelivered after `afterMs` (0: at once; at most 600_000). */
  nack(message: IncomingMessage, afterMs: number): void;
  /** Keeps messages for `ackDeadlineMs` from now. */
  extend(messages: readonly IncomingMessage[]): void;
  /** Stops, sends what is pending and releases connections. May be called twice. */
  close(): Promise<void>;
}
