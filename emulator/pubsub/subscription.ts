// The state machine of one subscription.
//
// S1. A message that is not gone is in exactly one place: the ready queue, its chain, the backoff, or with a subscriber.
// S2. An ack id names one delivery. A deadline that has passed, a nack or a rewind ends the delivery.
// S3. A subscriber's outstanding counts change only in #lease and #release.
// S4. Ordered messages of a key are delivered in the order of publishing, and while any is outstanding the others go to
//     the same subscriber, without waiting for acknowledgements.
// S5. When an ordered message fails, it and all later ones of its key are delivered again, acknowledged or not;
//     an acknowledgement is final once those of all earlier messages of the key are.
// S6. A message leaves after its last allowed attempt only if the dead-letter topic took it.
// S7. With exactly-once delivery an acknowledgement succeeds only for the delivery that is outstanding.
import { readAckId, writeAckId } from './ack-id.ts';
import { backoffMs } from './backoff.ts';
import type { Clock } from './clock.ts';
import { DeadlineQueue, type DueNode } from './deadline-queue.ts';
import type { Delivery } from './delivery.ts';
import { LinkedQueue, type QueueNode } from './linked-queue.ts';
import type { Message } from './message.ts';
import { OrderChain } from './order-chain.ts';
import { PendingMessage } from './pending-message.ts';
import type { StatusError } from './status.ts';
import type { Subscriber } from './subscriber.ts';
import type { SubscriptionConfig } from './subscription-config.ts';

/** Messages in one response at most, so that one stream does not take a long backlog in a single gulp. */
const MAX_BATCH_MESSAGES = 500;
/** Well under the 4 MB that a gRPC client takes unless told otherwise; the last message may overshoot. */
const MAX_BATCH_BYTES = 1_000_000;
/** Ack ids of exactly-once subscriptions that are remembered, so that a repeated acknowledgement is no error. */
const REMEMBERED_ACKS = 10_000;

export type AckResult = 'ok' | 'expired' | 'unordered';

export interface SubscriptionOptions {
  readonly config: SubscriptionConfig;
  /** Part of the ack ids. */
  readonly number: number;
  readonly clock: Clock;
  /** Publishes a message to the dead-letter topic; false when that topic has gone. */
  readonly forward: (message: Message, failures: number) => boolean;
}

export class Subscription {
  config: SubscriptionConfig;
  readonly #options: SubscriptionOptions;
  readonly #clock: Clock;
  readonly #pending = new Map<number, PendingMessage>();
  readonly #chains = new Map<string, OrderChain>();
  readonly #ready = new LinkedQueue<QueueNode>();
  readonly #due = new DeadlineQueue<DueNode>();
  readonly #recentAcks = new Set<string>();
  #subscribers: Subscriber[] = [];
  #nextSubscriber = 0;
  #sequence = 0;
  #isDispatchPlanned = false;
  #isClosed = false;
  #timer: { readonly atMs: number; readonly cancel: () => void } | undefined;

  constructor(options: SubscriptionOptions) {
    this.config = options.config;
    this.#options = options;
    this.#clock = options.clock;
  }

  /** Messages that are neither acknowledged nor dead-lettered. */
  get backlog(): number {
    return this.#pending.size;
  }

  add(message: Message): void {
    const { filter, enableMessageOrdering } = this.config;
    // A message that the filter turns down counts as acknowledged.
    if (filter && !filter.matches(message.attributes)) return;
    const isOrdered = enableMessageOrdering && message.orderingKey !== '';
    const chain = isOrdered ? this.#chainOf(message.orderingKey) : undefined;
    const pending = new PendingMessage(message, ++this.#sequence, chain);
    this.#pending.set(pending.sequence, pending);
    chain?.append(pending);
    this.#makeReady(pending);
  }

  attach(subscriber: Subscriber): void {
    this.#subscribers.push(subscriber);
    this.wake();
  }

  /** What the subscriber holds stays outstanding until it is acknowledged or overdue. */
  detach(subscriber: Subscriber): void {
    subscriber.isWritable = false;
    this.#subscribers = this.#subscribers.filter((other) => other !== subscriber);
  }

  /** To be called whenever a subscriber may have got room; delivers after what is being handled now. */
  wake(): void {
    if (this.#isDispatchPlanned || this.#isClosed || this.#subscribers.length === 0) return;
    this.#isDispatchPlanned = true;
    this.#clock.soon(() => {
      this.#isDispatchPlanned = false;
      if (!this.#isClosed) this.#dispatch();
    });
  }

  /** Delivers at once, for a pull that does not wait. */
  deliverNow(): void {
    this.#dispatch();
  }

  acknowledge(ackId: string): AckResult {
    const pending = this.#find(ackId);
    if (pending?.state !== 'outstanding' || !this.#isCurrent(pending, ackId))
      return this.#acknowledgeLate(ackId, pending);
    const { chain } = pending;
    if (this.config.enableExactlyOnceDelivery) {
      if (chain && !chain.isFirst(pending)) return 'unordered';
      this.#remember(ackId);
    }
    this.#release(pending);
    this.#finish(pending, 'acknowledged');
    return 'ok';
  }

  /** A deadline of 0 is a nack. */
  modifyAckDeadline(ackId: string, deadlineMs: number): AckResult {
    const pending = this.#find(ackId);
    if (pending?.state !== 'outstanding' || !this.#isCurrent(pending, ackId)) return 'expired';
    if (deadlineMs === 0) this.#fail(pending);
    else this.#due.set(pending, this.#clock.nowMs() + deadlineMs);
    this.#arm();
    return 'ok';
  }

  close(reason: StatusError): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const subscriber of this.#subscribers) {
      subscriber.isWritable = false;
      subscriber.end(reason);
    }
    this.#subscribers = [];
    this.#pending.clear();
    this.#chains.clear();
  }

  #dispatch(): void {
    let isProgressing = true;
    while (isProgressing && this.#subscribers.length > 0) {
      isProgressing = false;
      // Each gets its share, starting after whoever was first the last time, so that nobody starves.
      const turn = this.#subscribers.slice();
      const first = this.#nextSubscriber++ % turn.length;
      const share = Math.ceil(this.#ready.length / turn.length);
      const limit = Math.min(MAX_BATCH_MESSAGES, Math.max(1, share));
      for (let index = 0; index < turn.length; index++) {
        const subscriber = turn[(first + index) % turn.length] as Subscriber;
        const batch = this.#collect(subscriber, limit);
        if (batch.length === 0) continue;
        isProgressing = true;
        subscriber.deliver(batch);
      }
    }
    this.#arm();
  }

  #collect(subscriber: Subscriber, limit: number): Delivery[] {
    const batch: Delivery[] = [];
    let most = limit;
    let bytes = 0;
    const isOpen = () => batch.length < most && bytes < MAX_BATCH_BYTES && subscriber.hasRoom;
    const take = (pending: PendingMessage) => {
      const delivery = this.#lease(pending, subscriber);
      if (!delivery) return;
      batch.push(delivery);
      bytes += pending.message.encoded.length;
    };
    while (isOpen()) {
      const node = subscriber.ownChains.shift() ?? this.#ready.shift();
      if (!node) break;
      if (node instanceof PendingMessage) take(node);
      else if (node instanceof OrderChain) {
        // Only this subscriber may have the key's next messages, so there is nobody to share them with.
        most = MAX_BATCH_MESSAGES;
        this.#claim(node, { subscriber, isOpen, take });
      }
    }
    return batch;
  }

  /** Takes as many of a key's messages as fit; the rest waits for the same subscriber. (S4) */
  #claim(
    chain: OrderChain,
    by: { subscriber: Subscriber; isOpen: () => boolean; take: (pending: PendingMessage) => void },
  ): void {
    chain.owner = by.subscriber;
    while (by.isOpen()) {
      const pending = chain.peek();
      if (!pending) break;
      chain.advance();
      by.take(pending);
    }
    if (chain.outstanding === 0) chain.owner = undefined;
    this.#placeChain(chain);
  }

  /** Undefined when the message has outlived the subscription's retention. */
  #lease(pending: PendingMessage, subscriber: Subscriber): Delivery | undefined {
    const { message, chain } = pending;
    const nowMs = this.#clock.nowMs();
    if (message.publishedAtMs + this.config.messageRetentionMs < nowMs) {
      this.#finish(pending, 'gone');
      return undefined;
    }
    pending.state = 'outstanding';
    pending.subscriber = subscriber;
    pending.delivery++;
    subscriber.outstandingMessages++;
    subscriber.outstandingBytes += message.encoded.length;
    if (chain) chain.outstanding++;
    this.#due.set(pending, nowMs + subscriber.ackDeadlineMs);
    return {
      ackId: this.#ackIdOf(pending),
      message,
      deliveryAttempt: this.config.deadLetterPolicy ? pending.failures + 1 : 0,
    };
  }

  #release(pending: PendingMessage): void {
    const { subscriber, chain } = pending;
    this.#due.remove(pending);
    pending.subscriber = undefined;
    if (subscriber) {
      subscriber.outstandingMessages--;
      subscriber.outstandingBytes -= pending.message.encoded.length;
    }
    if (chain) {
      chain.outstanding--;
      if (chain.outstanding === 0) chain.owner = undefined;
    }
    if (this.#ready.length > 0 || (subscriber && subscriber.ownChains.length > 0)) this.wake();
  }

  /** A nack, or a deadline that has passed. */
  #fail(pending: PendingMessage): void {
    this.#release(pending);
    pending.failures++;
    const { deadLetterPolicy, retryPolicy } = this.config;
    const isLastAttempt = deadLetterPolicy && pending.failures >= deadLetterPolicy.maxDeliveryAttempts;
    if (isLastAttempt && this.#options.forward(pending.message, pending.failures)) {
      this.#finish(pending, 'gone');
      return;
    }
    pending.state = 'ready';
    const waitMs = backoffMs(retryPolicy, pending.failures);
    const { chain } = pending;
    if (chain) this.#rewind(chain, pending);
    if (waitMs > 0) {
      chain?.queue?.remove(chain);
      this.#due.set(chain ?? pending, this.#clock.nowMs() + waitMs);
      this.#arm();
    } else this.#makeReady(pending);
  }

  /** S5. */
  #rewind(chain: OrderChain, from: PendingMessage): void {
    for (const later of chain.rewind(from)) {
      if (later.state === 'outstanding') this.#release(later);
      if (later.state !== 'gone') later.state = 'ready';
    }
  }

  #finish(pending: PendingMessage, state: 'acknowledged' | 'gone'): void {
    pending.state = state;
    pending.queue?.remove(pending);
    this.#due.remove(pending);
    const { chain } = pending;
    if (!chain) {
      this.#pending.delete(pending.sequence);
      return;
    }
    for (const settled of chain.settle()) this.#pending.delete(settled.sequence);
    this.#placeChain(chain);
  }

  #makeReady(pending: PendingMessage): void {
    if (pending.chain) this.#placeChain(pending.chain);
    else {
      this.#ready.push(pending);
      this.wake();
    }
  }

  /** Puts a chain where its next message will be taken from: its owner's queue, everybody's, or none. */
  #placeChain(chain: OrderChain): void {
    if (chain.isEmpty) this.#chains.delete(chain.key);
    const isWaiting = chain.hasNext && chain.heapIndex < 0;
    const place = isWaiting ? ((chain.owner?.ownChains ?? this.#ready) as LinkedQueue<QueueNode>) : undefined;
    if (chain.queue !== place) {
      chain.queue?.remove(chain);
      place?.push(chain);
    }
    if (place) this.wake();
  }

  #chainOf(key: string): OrderChain {
    let chain = this.#chains.get(key);
    if (!chain) {
      chain = new OrderChain(key);
      this.#chains.set(key, chain);
    }
    return chain;
  }

  /** One timer for all deadlines; acknowledging the earliest leaves it to fire in vain once. */
  #arm(): void {
    const atMs = this.#due.earliestMs;
    if (this.#isClosed || atMs === Number.POSITIVE_INFINITY || (this.#timer && this.#timer.atMs <= atMs))
      return;
    this.#timer?.cancel();
    const delayMs = Math.max(1, Math.ceil(atMs - this.#clock.nowMs()));
    this.#timer = { atMs, cancel: this.#clock.after(delayMs, () => this.#onTimer()) };
  }

  #onTimer(): void {
    this.#timer = undefined;
    const nowMs = this.#clock.nowMs();
    for (let node = this.#due.takeDue(nowMs); node; node = this.#due.takeDue(nowMs)) {
      if (node instanceof OrderChain) this.#placeChain(node);
      else if (node instanceof PendingMessage) {
        if (node.state === 'outstanding') this.#fail(node);
        else this.#makeReady(node);
      }
    }
    this.#arm();
  }

  #find(ackId: string): PendingMessage | undefined {
    const parts = readAckId(ackId);
    return parts?.subscription === this.#options.number ? this.#pending.get(parts.sequence) : undefined;
  }

  #isCurrent(pending: PendingMessage, ackId: string): boolean {
    return this.#ackIdOf(pending) === ackId;
  }

  #ackIdOf(pending: PendingMessage): string {
    return writeAckId(this.#options.number, pending.sequence, pending.delivery);
  }

  /**
   * The delivery has ended. Documented as "may be redelivered": a late acknowledgement still takes an unordered message
   * out, but never an ordered one, which S5 may have promised to deliver again.
   */
  #acknowledgeLate(ackId: string, pending: PendingMessage | undefined): AckResult {
    if (this.config.enableExactlyOnceDelivery) return this.#recentAcks.has(ackId) ? 'ok' : 'expired';
    if (pending && !pending.chain) {
      if (pending.state === 'outstanding') this.#release(pending);
      this.#finish(pending, 'acknowledged');
    }
    return 'ok';
  }

  #remember(ackId: string): void {
    this.#recentAcks.add(ackId);
    if (this.#recentAcks.size <= REMEMBERED_ACKS) return;
    for (const oldest of this.#recentAcks) {
      this.#recentAcks.delete(oldest);
      break;
    }
  }
}
