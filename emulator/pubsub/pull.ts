import type { protos } from '@google-cloud/pubsub';
import type { ServerUnaryCall } from '@grpc/grpc-js';
import type { Clock } from './clock.ts';
import { type Delivery, writeDeliveries } from './delivery.ts';
import { invalidArgument, type StatusError } from './status.ts';
import { Subscriber } from './subscriber.ts';
import type { Subscription } from './subscription.ts';

type PullCall = ServerUnaryCall<protos.google.pubsub.v1.IPullRequest, Buffer>;

/** A subscriber for one answer. */
class PullSubscriber extends Subscriber {
  readonly #answer: (outcome: readonly Delivery[] | StatusError) => void;

  constructor(answer: (outcome: readonly Delivery[] | StatusError) => void) {
    super();
    this.#answer = answer;
  }

  deliver(deliveries: readonly Delivery[]): void {
    this.isWritable = false;
    this.#answer(deliveries);
  }

  end(reason: StatusError): void {
    this.#answer(reason);
  }
}

export interface PullOptions {
  readonly clock: Clock;
  /** How long a pull waits for a first message before it answers with none. */
  readonly waitMs: number;
}

/** Answers as soon as there is any message, with as many as there are then; empty-handed after the wait. */
export function pull(
  subscription: Subscription,
  call: PullCall,
  { clock, waitMs }: PullOptions,
): Promise<Buffer> {
  const maxMessages = call.request.maxMessages ?? 0;
  if (maxMessages <= 0)
    throw invalidArgument(`max_messages must be at least 1 (max_messages=${maxMessages}).`);
  return new Promise((resolve, reject) => {
    const finish = (outcome: readonly Delivery[] | StatusError) => {
      stopWaiting();
      subscription.detach(subscriber);
      if (Array.isArray(outcome)) resolve(writeDeliveries(outcome));
      else reject(outcome);
    };
    const subscriber = new PullSubscriber(finish);
    subscriber.maxMessages = maxMessages;
    subscriber.ackDeadlineMs = subscription.config.ackDeadlineSeconds * 1000;
    const stopWaiting = clock.after(waitMs, () => finish([]));
    // A caller that hung up must not be given messages that it would hold until their deadline.
    call.on('cancelled', () => finish([]));
    subscription.attach(subscriber);
    if (call.request.returnImmediately) {
      subscription.deliverNow();
      finish([]);
    }
  });
}
