import type { protos } from '@google-cloud/pubsub';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { acknowledgeAll, checkAckIds, modifyAll } from './acknowledgements.ts';
import { type Delivery, writeDeliveries } from './delivery.ts';
import { invalidArgument, type StatusError, toStatusError } from './status.ts';
import { readFirstRequest, readLaterRequest, type StreamRequest } from './streaming-request.ts';
import { Subscriber } from './subscriber.ts';
import type { Subscription } from './subscription.ts';
import { delimitedField, varintField } from './wire.ts';

type ProtoRequest = protos.google.pubsub.v1.IStreamingPullRequest;
export type StreamingPullCall = ServerDuplexStream<ProtoRequest, Buffer>;

/** An open streaming pull. */
class StreamSubscriber extends Subscriber {
  readonly #call: StreamingPullCall;
  readonly #subscription: Subscription;

  constructor(call: StreamingPullCall, subscription: Subscription) {
    super();
    this.#call = call;
    this.#subscription = subscription;
    call.on('drain', () => {
      if (call.writable) this.isWritable = true;
      subscription.wake();
    });
  }

  deliver(deliveries: readonly Delivery[]): void {
    this.#write(writeDeliveries(deliveries));
  }

  end(reason: StatusError): void {
    this.#call.emit('error', reason);
  }

  /** Applies what a request asks for; every request is answered if it asks for nothing (a keep-alive). */
  handle(request: StreamRequest): void {
    if (request.ackDeadlineMs !== undefined) this.ackDeadlineMs = request.ackDeadlineMs;
    const { ackIds, modifyAckIds, modifySeconds } = request;
    checkAckIds(ackIds);
    checkAckIds(modifyAckIds);
    const acks = acknowledgeAll(this.#subscription, ackIds);
    const modifications = modifyAll(this.#subscription, modifyAckIds, modifySeconds);
    if (request.isKeepAlive) this.#write(EMPTY);
    if (!this.#subscription.config.enableExactlyOnceDelivery) return;
    const repeated = (field: number, ids: readonly string[]) => ids.map((id) => delimitedField(field, id));
    if (ackIds.length > 0)
      this.#write(
        delimitedField(
          5,
          Buffer.concat([
            ...repeated(1, acks.ok),
            ...repeated(2, acks.expired),
            ...repeated(3, acks.unordered),
          ]),
        ),
      );
    if (modifyAckIds.length > 0)
      this.#write(
        delimitedField(
          3,
          Buffer.concat([...repeated(1, modifications.ok), ...repeated(2, modifications.expired)]),
        ),
      );
  }

  /** Every response says what the subscription is like now, for it may be updated while the stream is open. */
  #write(response: Buffer): void {
    const { enableExactlyOnceDelivery, enableMessageOrdering } = this.#subscription.config;
    const properties = Buffer.concat([
      enableExactlyOnceDelivery ? varintField(1, 1) : EMPTY,
      enableMessageOrdering ? varintField(2, 1) : EMPTY,
    ]);
    const hasRoom = this.#call.write(Buffer.concat([response, delimitedField(4, properties)]));
    if (!hasRoom) this.isWritable = false;
  }
}

const EMPTY: Buffer = Buffer.alloc(0);

/** Serves one streaming pull. The first request names the subscription; it stays open until either side ends it. */
export function streamingPull(call: StreamingPullCall, find: (name: string) => Subscription): void {
  let open: { subscriber: StreamSubscriber; subscription: Subscription } | undefined;
  const close = () => {
    if (open) open.subscription.detach(open.subscriber);
    open = undefined;
  };
  const fail = (error: unknown) => {
    close();
    call.emit('error', toStatusError(error));
  };
  call.on('data', (message: ProtoRequest) => {
    try {
      if (open) open.subscriber.handle(readLaterRequest(message));
      else open = start(call, message, find);
    } catch (error) {
      fail(error);
    }
  });
  call.on('cancelled', close);
  call.on('close', close);
  call.on('error', close);
  call.on('end', () => {
    if (!open) call.emit('error', invalidArgument('The stream ended before its first request.'));
    close();
    call.end();
  });
}

function start(call: StreamingPullCall, message: ProtoRequest, find: (name: string) => Subscription) {
  const first = readFirstRequest(message);
  const subscription = find(first.subscription);
  const subscriber = new StreamSubscriber(call, subscription);
  subscriber.maxMessages = first.maxOutstandingMessages;
  subscriber.maxBytes = first.maxOutstandingBytes;
  subscriber.handle(first);
  subscription.attach(subscriber);
  return { subscriber, subscription };
}
