import { context, ROOT_CONTEXT } from '@opentelemetry/api';

export interface GroupCommitOptions<Item, Result> {
  /** Stores all items in one commit. Shape: one result per item, in order. */
  readonly commit: (items: readonly Item[]) => Promise<readonly Result[]>;
  /** Most items in a group. Default 500. */
  readonly maxItems?: number;
  /** Groups under way at once. Default 1; with 2 the callers of one go on while the other is being committed (G4). */
  readonly maxInFlight?: number;
  /**
   * Whether a failed group is to be tried again item by item, so that one bad item does not fail its neighbours. Default:
   * never.
   */
  readonly isolates?: (error: unknown) => boolean;
}

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Lets many callers share commits, without a timer: whatever arrives while a group is being committed forms the next one.
 *
 * G1. An item is in exactly one group, and its promise settles with that group.
 * G2. Nothing waits for a group to fill: an item that finds no group under way is committed at once, with whatever was
 *     added in the same turn of the event loop.
 * G3. A commit is everybody's: none of the callers' spans is active in it.
 * G4. Where several groups may be under way, what waits is spread over them, unless it is little.
 */
export class GroupCommit<Item, Result> {
  readonly #options: GroupCommitOptions<Item, Result>;
  readonly #maxItems: number;
  readonly #maxInFlight: number;
  #waiting: Waiting<Item, Result>[] = [];
  #inFlight = 0;
  #scheduled = false;
  #idle: (() => void)[] = [];

  constructor(options: GroupCommitOptions<Item, Result>) {
    this.#options = options;
    this.#maxItems = options.maxItems ?? 500;
    this.#maxInFlight = options.maxInFlight ?? 1;
  }

  /** Resolves once the item is committed. Errors: what the commit of its group failed with. */
  add(item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      this.#schedule();
    });
  }

  /** Resolves when nothing waits and nothing is under way. */
  async drained(): Promise<void> {
    if (this.#waiting.length === 0 && this.#inFlight === 0) return;
    await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #schedule(): void {
    if (this.#scheduled || this.#inFlight >= this.#maxInFlight || this.#waiting.length === 0) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#waiting.length > 0) void this.#commit(this.#take());
      this.#schedule();
    });
  }

  #take(): Waiting<Item, Result>[] {
    const all = this.#waiting;
    const groups = all.length < LITTLE ? 1 : this.#maxInFlight - this.#inFlight; // G4
    const size = Math.min(Math.ceil(all.length / groups), this.#maxItems);
    if (size < all.length) return all.splice(0, size);
    this.#waiting = [];
    return all;
  }

  async #commit(group: readonly Waiting<Item, Result>[]): Promise<void> {
    this.#inFlight += 1;
    try {
      await this.#settle(group);
    } catch (error) {
      if (group.length > 1 && this.#options.isolates?.(error)) await this.#commitEach(group);
      else for (const { reject } of group) reject(error);
    }
    this.#inFlight -= 1;
    this.#schedule();
    if (this.#inFlight === 0 && this.#waiting.length === 0)
      for (const resolve of this.#idle.splice(0)) resolve();
  }

  async #settle(group: readonly Waiting<Item, Result>[]): Promise<void> {
    // G3.
    const items = group.map(({ item }) => item);
    const results = await context.with(ROOT_CONTEXT, () => this.#options.commit(items));
    for (const [index, { resolve }] of group.entries()) resolve(results[index] as Result);
  }

  async #commitEach(group: readonly Waiting<Item, Result>[]): Promise<void> {
    for (const one of group) await this.#settle([one]).catch(one.reject);
  }
}

/** So few items cost less in one commit than in two. */
const LITTLE = 16;
