import type { Delivery } from './delivery.ts';
import { LinkedQueue } from './linked-queue.ts';
import type { OrderChain } from './order-chain.ts';
import type { StatusError } from './status.ts';

/** Where messages go: a streaming pull for as long as it is open, or one pull call. */
export abstract class Subscriber {
  maxMessages = Number.POSITIVE_INFINITY;
  maxBytes = Number.POSITIVE_INFINITY;
  ackDeadlineMs = 0;
  outstandingMessages = 0;
  outstandingBytes = 0;
  /** False while the transport is congested, and for good once the call has ended. */
  isWritable = true;
  /** Chains whose next message must go here, because an earlier one of the key is outstanding here. */
  readonly ownChains: LinkedQueue<OrderChain> = new LinkedQueue<OrderChain>();

  /** As documented: nothing more is sent once either limit is reached, so bytes may overshoot by one message. */
  get hasRoom(): boolean {
    return (
      this.isWritable && this.outstandingMessages < this.maxMessages && this.outstandingBytes < this.maxBytes
    );
  }

  abstract deliver(deliveries: readonly Delivery[]): void;
  /** The subscription has been deleted, or the server stops. */
  abstract end(reason: StatusError): void;
}
