import type { IncomingMessage, MessageListener, MessageSource } from '../../shared/pubsub/message-source.ts';

export interface Settlement {
  readonly kind: 'ack' | 'nack';
  readonly message: IncomingMessage;
  /** 0 for acks. */
  readonly afterMs: number;
}

/** A subscription in memory: tests deliver, and read what the worker did with it. Nothing is redelivered by itself. */
export interface MemorySource extends MessageSource {
  /** Hands a message to the worker; what is not given is made up. */
  deliver(message?: Partial<IncomingMessage>): IncomingMessage;
  /** Reports a fault to the worker. */
  fail(error: Error): void;
  readonly settlements: readonly Settlement[];
  /** Message ids of each call of `extend`. */
  readonly extensions: readonly (readonly string[])[];
  /** Names of the calls of start, pause and close, in order. */
  readonly calls: readonly string[];
  /** Resolves when `count` messages were acked or handed back. */
  settled(count: number): Promise<readonly Settlement[]>;
}

export interface MemorySourceOptions {
  readonly ackDeadlineMs?: number;
  /** What `start` waits for, for instance a check that takes its time or fails. */
  readonly starting?: Promise<void>;
}

export function createMemorySource(options: MemorySourceOptions = {}): MemorySource {
  const settlements: Settlement[] = [];
  const extensions: string[][] = [];
  const calls: string[] = [];
  const waiting = new Set<{ readonly count: number; readonly resolve: (all: Settlement[]) => void }>();
  let listener: MessageListener | undefined;
  let delivered = 0;

  const settle = (settlement: Settlement) => {
    settlements.push(settlement);
    for (const waiter of waiting) {
      if (settlements.length < waiter.count) continue;
      waiting.delete(waiter);
      waiter.resolve(settlements);
    }
  };

  return {
    subscription: 'jobs-worker',
    ackDeadlineMs: options.ackDeadlineMs ?? 30_000,
    async start(given) {
      calls.push('start');
      await options.starting;
      listener = given;
    },
    pause: () => void calls.push('pause'),
    ack: (message) => settle({ kind: 'ack', message, afterMs: 0 }),
    nack: (message, afterMs) => settle({ kind: 'nack', message, afterMs }),
    extend: (messages) => void extensions.push(messages.map(({ id }) => id)),
    close: async () => void calls.push('close'),
    deliver(given) {
      if (!listener) throw new Error('nobody listens yet');
      delivered += 1;
      const message = madeUp(delivered, given);
      listener.onMessage(message);
      return message;
    },
    fail: (error) => listener?.onError(error),
    settlements,
    extensions,
    calls,
    settled(count) {
      if (settlements.length >= count) return Promise.resolve(settlements);
      return new Promise((resolve) => waiting.add({ count, resolve }));
    },
  };
}

function madeUp(number: number, given: Partial<IncomingMessage> = {}): IncomingMessage {
  const nowMs = Date.now();
  return {
    id: `m${number}`,
    data: Buffer.from('{}'),
    attributes: {},
    orderingKey: undefined,
    publishedAtMs: nowMs,
    receivedAtMs: nowMs,
    deliveryAttempt: undefined,
    ackId: `ack-${number}`,
    ...given,
  };
}
