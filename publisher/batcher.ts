import { ThroughlineError } from '../shared/errors.ts';
import { messageBytes } from '../shared/pubsub/limits.ts';
import type { MessageSink, OutgoingMessage } from '../shared/pubsub/message-sink.ts';

export interface BatchingOptions {
  /** Most messages in a request. Pub/Sub allows 1_000. Default 500. */
  readonly maxMessages?: number;
  /** Most bytes in a request. Pub/Sub allows 10 MB. Default 4_000_000. */
  readonly maxBytes?: number;
  /**
   * Shortest time between two part-filled batches, in ms. A message that comes after a quiet time leaves at once; those
   * that follow it within this time leave together. 0: every turn of the event loop sends. Default 10.
   */
  readonly maxDelayMs?: number;
  /** Requests under way at once, for messages without an ordering key. Default 4. */
  readonly maxInFlight?: number;
}

/** An earlier message with this ordering key was not published; call `resume` once order may be given up or is restored. */
export class OrderingKeyPausedError extends ThroughlineError {
  override readonly name = 'OrderingKeyPausedError';
  readonly code = 'ORDERING_KEY_PAUSED';
  readonly orderingKey: string;

  constructor(orderingKey: string, options?: ErrorOptions) {
    super(
      `an earlier message with ordering key "${orderingKey}" was not published; the key waits for resume()`,
      options,
    );
    this.orderingKey = orderingKey;
  }
}

interface Waiting {
  readonly message: OutgoingMessage;
  readonly bytes: number;
  readonly resolve: (messageId: string) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Turns single messages for one topic and one ordering key (or none) into batches.
 *
 * B1. A message is in exactly one request, and its promise settles with that request.
 * B2. With an ordering key one request is under way at a time, and after a failure nothing more is sent until `resume`:
 *     what waits and what comes is rejected, because sending it would put it before the message that failed.
 */
export class Batcher {
  readonly #send: (messages: readonly OutgoingMessage[]) => Promise<readonly string[]>;
  readonly #maxMessages: number;
  readonly #maxBytes: number;
  readonly #maxDelayMs: number;
  readonly #maxInFlight: number;
  readonly #ordered: boolean;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #inFlight = 0;
  #lastSentMs = Number.NEGATIVE_INFINITY;
  #timer: { cancel(): void } | undefined;
  #idle: (() => void)[] = [];
  #failure: { readonly error: unknown } | undefined;

  constructor(sink: MessageSink, topic: string, ordered: boolean, options: BatchingOptions = {}) {
    this.#send = (messages) => sink.publish(topic, messages);
    this.#maxMessages = options.maxMessages ?? 500;
    this.#maxBytes = options.maxBytes ?? 4_000_000;
    this.#maxDelayMs = options.maxDelayMs ?? 10;
    this.#maxInFlight = ordered ? 1 : (options.maxInFlight ?? 4);
    this.#ordered = ordered;
  }

  /** Takes messages again after a failure on an ordering key. */
  resume(): void {
    this.#failure = undefined;
  }

  get isPaused(): boolean {
    return this.#failure !== undefined;
  }

  /** Resolves with the message id once Pub/Sub has stored the message. */
  add(message: OutgoingMessage): Promise<string> {
    if (this.#failure !== undefined) {
      return Promise.reject(
        new OrderingKeyPausedError(message.orderingKey ?? '', { cause: this.#failure.error }),
      ); // B2
    }
    return new Promise((resolve, reject) => {
      const bytes = messageBytes(message);
      this.#waiting.push({ message, bytes, resolve, reject });
      this.#waitingBytes += bytes;
      this.#schedule();
    });
  }

  get isIdle(): boolean {
    return this.#inFlight === 0 && this.#waiting.length === 0;
  }

  /** Resolves when nothing waits and nothing is under way. */
  async drained(): Promise<void> {
    if (this.isIdle) return;
    await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #schedule(): void {
    if (this.#inFlight >= this.#maxInFlight) return; // whatever arrives now forms the next batch
    const full = this.#waiting.length >= this.#maxMessages || this.#waitingBytes >= this.#maxBytes;
    if (full) this.#flush();
    else if (!this.#timer) this.#flushSoon();
  }

  #flushSoon(): void {
    const delayMs = this.#lastSentMs + this.#maxDelayMs - performance.now();
    const flush = () => this.#flush();
    if (delayMs > 0) {
      const timer = setTimeout(flush, delayMs);
      this.#timer = { cancel: () => clearTimeout(timer) };
    } else {
      const immediate = setImmediate(flush);
      this.#timer = { cancel: () => clearImmediate(immediate) };
    }
  }

  #flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#waiting.length === 0 || this.#inFlight >= this.#maxInFlight) return;
    void this.#sendBatch(this.#takeBatch());
    if (this.#waiting.length > 0) this.#schedule();
  }

  #takeBatch(): Waiting[] {
    let bytes = 0;
    let end = 0;
    for (const { bytes: size } of this.#waiting) {
      if (end >= this.#maxMessages || (end > 0 && bytes + size > this.#maxBytes)) break;
      bytes += size;
      end += 1;
    }
    const batch = this.#waiting.slice(0, end);
    this.#waiting = this.#waiting.slice(end);
    this.#waitingBytes -= bytes;
    return batch;
  }

  async #sendBatch(batch: readonly Waiting[]): Promise<void> {
    this.#inFlight += 1;
    this.#lastSentMs = performance.now();
    try {
      const ids = await this.#send(batch.map(({ message }) => message));
      batch.forEach(({ resolve }, index) => {
        resolve(ids[index] ?? '');
      });
    } catch (error) {
      for (const { reject } of batch) reject(error);
      if (this.#ordered) this.#pause(error);
    }
    this.#inFlight -= 1;
    if (this.#waiting.length > 0) this.#schedule();
    else if (this.isIdle) for (const resolve of this.#idle.splice(0)) resolve();
  }

  #pause(error: unknown): void {
    this.#failure = { error };
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    for (const { message, reject } of waiting) {
      reject(new OrderingKeyPausedError(message.orderingKey ?? '', { cause: error })); // B2
    }
  }
}
