/** A delivery that was handed back, and waits for its turn. */
export interface WaitingDelivery {
  readonly jobId: string;
  /** Of the delivery. */
  readonly ackId: string;
  /** Brings it back. After `untilMs` (on the clock of `performance.now()`) it has come back by itself. */
  readonly resume: () => void;
  readonly untilMs: number;
}

/** Deliveries that are kept in mind; what waits beyond that comes back by itself. */
const MAX_REMEMBERED = 10_000;

/** Deliveries that wait for one thing, first come first served. */
export class WaitingLine {
  readonly #waiting = new Map<string, WaitingDelivery>();

  get size(): number {
    this.#forget();
    return this.#waiting.size;
  }

  add(delivery: WaitingDelivery): void {
    this.#waiting.delete(delivery.ackId);
    this.#waiting.set(delivery.ackId, delivery);
    this.#forget();
  }

  /** Those that are first, at most `count`; they stay where they are. */
  first(count: number): WaitingDelivery[] {
    this.#forget();
    const found: WaitingDelivery[] = [];
    for (const delivery of this.#waiting.values()) {
      if (found.length >= count) break;
      found.push(delivery);
    }
    return found;
  }

  /** Takes it out; false: it is not there any more. */
  remove({ ackId }: WaitingDelivery): boolean {
    return this.#waiting.delete(ackId);
  }

  /** They were added in the order of their times, or nearly so: what is left over is found later. */
  #forget(): void {
    const nowMs = performance.now();
    for (const [ackId, { untilMs }] of this.#waiting) {
      if (untilMs > nowMs && this.#waiting.size <= MAX_REMEMBERED) return;
      this.#waiting.delete(ackId);
    }
  }
}
