import { DueNode } from './deadline-queue.ts';
import type { PendingMessage } from './pending-message.ts';
import type { Subscriber } from './subscriber.ts';

const COMPACT_FROM = 64;

/**
 * The messages of one ordering key, in the order of publishing. Those before the cursor have been delivered and are
 * outstanding, acknowledged or gone; those from the cursor on wait. Moving the cursor back is what redelivers a
 * message together with all later ones.
 */
export class OrderChain extends DueNode {
  readonly key: string;
  /** While messages of the key are outstanding, only this subscriber is given more of them. */
  owner: Subscriber | undefined = undefined;
  outstanding = 0;
  #messages: PendingMessage[] = [];
  /** The position of the first message in `#messages`; positions never change, the array is compacted. */
  #base = 0;
  #head = 0;
  #cursor = 0;

  constructor(key: string) {
    super();
    this.key = key;
  }

  get isEmpty(): boolean {
    return this.#head === this.#base + this.#messages.length;
  }

  get hasNext(): boolean {
    return this.peek() !== undefined;
  }

  append(pending: PendingMessage): void {
    pending.position = this.#base + this.#messages.length;
    this.#messages.push(pending);
  }

  /** The next message to deliver; steps over those that left while the cursor was before them. */
  peek(): PendingMessage | undefined {
    let pending = this.#at(this.#cursor);
    while (pending?.state === 'gone') pending = this.#at(++this.#cursor);
    return pending;
  }

  advance(): void {
    this.#cursor++;
  }

  isFirst(pending: PendingMessage): boolean {
    return pending.position === this.#head;
  }

  /** Moves the cursor back to `from` and returns what had been delivered from there on. */
  rewind(from: PendingMessage): PendingMessage[] {
    const start = from.position - this.#base;
    const delivered = this.#messages.slice(start, this.#cursor - this.#base);
    this.#cursor = Math.min(this.#cursor, from.position);
    return delivered;
  }

  /** Removes the messages at the front that need no redelivery any more, and returns them. */
  settle(): PendingMessage[] {
    const settled: PendingMessage[] = [];
    for (let first = this.#at(this.#head); first && isOver(first); first = this.#at(this.#head)) {
      settled.push(first);
      this.#head++;
    }
    this.#cursor = Math.max(this.#cursor, this.#head);
    this.#compact();
    return settled;
  }

  #at(position: number): PendingMessage | undefined {
    return this.#messages[position - this.#base];
  }

  #compact(): void {
    const dead = this.#head - this.#base;
    if (dead < COMPACT_FROM || dead * 2 < this.#messages.length) return;
    this.#messages = this.#messages.slice(dead);
    this.#base = this.#head;
  }
}

function isOver(pending: PendingMessage): boolean {
  return pending.state === 'acknowledged' || pending.state === 'gone';
}
