import type {
  IncomingMessage,
  MessageListener,
  MessageSink,
  MessageSource,
  OutgoingMessage,
} from '../../shared/index.ts';

/** What became of a message at the port: what Pub/Sub would have been told. */
export interface Settlement {
  readonly how: 'ack' | 'nack';
  readonly afterMs?: number;
}

/** A source without a Pub/Sub behind it: delivers what the test says, and records every answer. */
export interface ScriptedSource extends MessageSource {
  deliver(message: Pick<IncomingMessage, 'data' | 'attributes'> & Partial<IncomingMessage>): string;
  /** By message id. More than one entry would be a breach of the worker's own promise. */
  readonly settlements: ReadonlyMap<string, readonly Settlement[]>;
}

export function createScriptedSource(): ScriptedSource {
  const settlements = new Map<string, Settlement[]>();
  let listener: MessageListener | undefined;
  let delivered = 0;
  const settle = ({ id }: IncomingMessage, settlement: Settlement) => {
    settlements.get(id)?.push(settlement);
  };
  return {
    subscription: 'scripted',
    ackDeadlineMs: 10_000,
    settlements,
    async start(given) {
      listener = given;
    },
    deliver(message) {
      delivered += 1;
      const id = message.id ?? `m-${delivered}`;
      settlements.set(id, settlements.get(id) ?? []);
      const nowMs = Date.now();
      listener?.onMessage({
        id,
        orderingKey: undefined,
        publishedAtMs: nowMs,
        receivedAtMs: nowMs,
        deliveryAttempt: 1,
        ackId: `ack-${delivered}`,
        ...message,
      });
      return id;
    },
    ack: (message) => settle(message, { how: 'ack' }),
    nack: (message, afterMs) => settle(message, { how: 'nack', afterMs }),
    extend: () => {},
    pause: () => {},
    close: async () => {},
  };
}

/** A sink that keeps what it is given. */
export function createRecordingSink(): MessageSink & { readonly sent: readonly OutgoingMessage[] } {
  const sent: OutgoingMessage[] = [];
  return {
    sent,
    async publish(_topic, messages) {
      sent.push(...messages);
      return messages.map((_message, index) => `sent-${sent.length - messages.length + index}`);
    },
    close: async () => {},
  };
}
