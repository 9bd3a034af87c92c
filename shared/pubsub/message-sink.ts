/** A message on its way to Pub/Sub. */
export interface OutgoingMessage {
  readonly data: Uint8Array;
  readonly attributes: Readonly<Record<string, string>>;
  /** Messages with the same key are delivered in the order of their publishing. Absent or empty: no order. */
  readonly orderingKey?: string;
}

/**
 * The port through which messages leave. An implementation speaks to one Pub/Sub project.
 *
 * A batch is at most 1,000 messages and 10 MB, all of one ordering key or none.
 */
export interface MessageSink {
  /**
   * Publishes a batch and resolves once Pub/Sub has stored all of it.
   *
   * Shape:  one message id per message, in order.
   * Errors: rejects when the batch was not, or may not have been, stored; transient faults were retried before.
   */
  publish(topic: string, messages: readonly OutgoingMessage[]): Promise<readonly string[]>;
  /** Releases connections. May be called twice. */
  close(): Promise<void>;
}
