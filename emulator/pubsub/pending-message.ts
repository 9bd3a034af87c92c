import { DueNode } from './deadline-queue.ts';
import type { Message } from './message.ts';
import type { OrderChain } from './order-chain.ts';
import type { Subscriber } from './subscriber.ts';

/**
 * - `ready`: to be delivered (queued, in backoff, or in its chain behind the cursor)
 * - `outstanding`: delivered, neither acknowledged nor overdue
 * - `acknowledged`: kept only in a chain, because an earlier message of the key may still take it back (S5)
 * - `gone`: acknowledged for good, dead-lettered or too old
 */
export type PendingState = 'ready' | 'outstanding' | 'acknowledged' | 'gone';

/** A subscription's copy of a message, from publishing until it is gone. */
export class PendingMessage extends DueNode {
  readonly message: Message;
  /** Counts the subscription's messages from 1, in the order of publishing. */
  readonly sequence: number;
  readonly chain: OrderChain | undefined;
  state: PendingState = 'ready';
  /** Counts deliveries from 1 and is part of the ack id, so that an ack id names one delivery. */
  delivery = 0;
  /** Nacks and missed deadlines so far. */
  failures = 0;
  subscriber: Subscriber | undefined = undefined;
  /** Position in its chain. */
  position = 0;

  constructor(message: Message, sequence: number, chain?: OrderChain) {
    super();
    this.message = message;
    this.sequence = sequence;
    this.chain = chain;
  }
}
