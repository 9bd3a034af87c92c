import type { MessageSink, OutgoingMessage } from '../../shared/pubsub/message-sink.ts';

export interface SinkRequest {
  readonly topic: string;
  readonly messages: readonly OutgoingMessage[];
}

/** A Pub/Sub in memory that stores whatever it gets, until a test tells it to hold requests or to refuse them. */
export interface MemorySink extends MessageSink {
  readonly requests: readonly SinkRequest[];
  /** All messages that were sent, stored or not. */
  readonly messages: readonly OutgoingMessage[];
  /** Most requests that were ever under way at once. */
  readonly maxTogether: number;
  /** Requests from now on wait for `answer`. */
  hold(): void;
  /** Settles the oldest request that waits: stored, or refused with the error. */
  answer(error?: unknown): void;
  /** Refuses every request from now on; undefined: stores again. */
  refuse(error: unknown): void;
  /** Resolves when `count` requests have arrived. */
  requested(count: number): Promise<readonly SinkRequest[]>;
}

interface Waiting {
  readonly stored: () => void;
  readonly refused: (error: unknown) => void;
}

export function createMemorySink(): MemorySink {
  const requests: SinkRequest[] = [];
  const waiting: Waiting[] = [];
  const watching = new Set<{ readonly count: number; readonly resolve: (all: SinkRequest[]) => void }>();
  let isHolding = false;
  let refusal: unknown;
  let stored = 0;
  let together = 0;
  let maxTogether = 0;

  const arrive = (request: SinkRequest) => {
    requests.push(request);
    for (const watcher of watching) {
      if (requests.length < watcher.count) continue;
      watching.delete(watcher);
      watcher.resolve(requests);
    }
  };

  return {
    async publish(topic, messages) {
      together += 1;
      maxTogether = Math.max(maxTogether, together);
      try {
        arrive({ topic, messages });
        if (refusal !== undefined) throw refusal;
        if (isHolding) {
          await new Promise<void>((resolve, reject) => {
            waiting.push({ stored: resolve, refused: reject });
          });
        }
        return messages.map(() => `stored-${++stored}`);
      } finally {
        together -= 1;
      }
    },
    close: async () => {},
    requests,
    get messages() {
      return requests.flatMap((request) => request.messages);
    },
    get maxTogether() {
      return maxTogether;
    },
    hold() {
      isHolding = true;
    },
    answer(error) {
      const request = waiting.shift();
      if (!request) throw new Error('no request waits for an answer');
      if (error === undefined) request.stored();
      else request.refused(error);
    },
    refuse(error) {
      refusal = error;
    },
    requested(count) {
      if (requests.length >= count) return Promise.resolve(requests);
      return new Promise((resolve) => watching.add({ count, resolve }));
    },
  };
}
