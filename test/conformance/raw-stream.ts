import { EventEmitter, once } from 'node:events';
import type { Duplex } from 'node:stream';
import type { protos } from '@google-cloud/pubsub';

type Request = protos.google.pubsub.v1.IStreamingPullRequest;
type Response = protos.google.pubsub.v1.IStreamingPullResponse;
type Received = protos.google.pubsub.v1.IReceivedMessage;

type CancellableDuplex = Duplex & { cancel(): void };

/** One streaming pull at the level of requests and responses, which can be awaited. */
export class RawStream {
  readonly responses: Response[] = [];
  readonly #duplex: CancellableDuplex;
  readonly #events = new EventEmitter();
  error: (Error & { code?: number }) | undefined;

  constructor(duplex: CancellableDuplex) {
    this.#duplex = duplex;
    duplex.on('data', (response: Response) => {
      this.responses.push(response);
      this.#events.emit('change');
    });
    duplex.on('error', (error: Error) => {
      this.error = error;
      this.#events.emit('change');
    });
  }

  get messages(): Received[] {
    return this.responses.flatMap((response) => response.receivedMessages ?? []);
  }

  write(request: Request): void {
    this.#duplex.write(request);
  }

  acknowledge(...messages: Received[]): void {
    this.write({ ackIds: messages.map(({ ackId }) => ackId ?? '') });
  }

  nack(...messages: Received[]): void {
    this.write({
      modifyDeadlineAckIds: messages.map(({ ackId }) => ackId ?? ''),
      modifyDeadlineSeconds: messages.map(() => 0),
    });
  }

  /** The first `count` messages, as soon as there are that many. */
  async received(count: number): Promise<Received[]> {
    await this.until(() => this.messages.length >= count);
    return this.messages.slice(0, count);
  }

  /** A later answer proves that whatever the server meant to send before has been sent. */
  async roundTrip(): Promise<void> {
    const count = this.responses.length;
    this.write({});
    await this.until(() =>
      this.responses.slice(count).some((response) => !response.receivedMessages?.length),
    );
  }

  async failure(): Promise<Error & { code?: number }> {
    while (!this.error) await once(this.#events, 'change');
    return this.error;
  }

  async until(isReached: () => boolean): Promise<void> {
    while (!isReached()) {
      if (this.error) throw this.error;
      await once(this.#events, 'change');
    }
  }

  cancel(): void {
    this.#duplex.cancel();
  }
}
