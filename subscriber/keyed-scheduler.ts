/**
 * Runs items side by side up to a bound, and items of one key one after another.
 *
 * K1. Of the items with one key at most one runs, and they run in the order of their arrival.
 * K2. An item that asks to run again keeps its key, not its slot, while it waits: others of the key stay behind it.
 */
export interface SchedulerOptions<Item> {
  /** Items that run at once. */
  readonly maxRunning: number;
  /** Runs an item. Resolving with a number runs it again after so many ms. Must not reject. */
  readonly run: (item: Item) => Promise<number | undefined>;
  readonly keyOf: (item: Item) => string | undefined;
}

interface Timed<Item> {
  readonly item: Item;
  readonly timer: NodeJS.Timeout;
  readonly due: () => void;
}

export class KeyedScheduler<Item> {
  readonly #options: SchedulerOptions<Item>;
  /** Those that could start now, first come first served. `#head` saves moving the array for each. */
  #ready: Item[] = [];
  #head = 0;
  /** Behind the one of their key that runs or waits for its next try. */
  readonly #behind = new Map<string, Item[]>();
  readonly #again = new Set<Timed<Item>>();
  readonly #running = new Set<Item>();
  #idle: (() => void)[] = [];

  constructor(options: SchedulerOptions<Item>) {
    this.#options = options;
  }

  get runningCount(): number {
    return this.#running.size;
  }

  running(): readonly Item[] {
    return [...this.#running];
  }

  add(item: Item): void {
    const key = this.#options.keyOf(item);
    if (key !== undefined) {
      const queue = this.#behind.get(key);
      if (queue) {
        queue.push(item); // K1
        return;
      }
      this.#behind.set(key, []);
    }
    this.#ready.push(item);
    this.#startReady();
  }

  /** Takes out everything that does not run, in order of arrival within a key. */
  takeWaiting(): Item[] {
    const taken = [...this.#again].map(({ item, timer }) => {
      clearTimeout(timer);
      return item;
    });
    this.#again.clear();
    taken.push(...this.#ready.slice(this.#head));
    this.#ready = [];
    this.#head = 0;
    for (const key of this.#behind.keys()) taken.push(...this.takeBehind(key));
    const runningKeys = new Set([...this.#running].map(this.#options.keyOf));
    for (const key of this.#behind.keys()) if (!runningKeys.has(key)) this.#behind.delete(key);
    return taken;
  }

  /** Runs an item now that waits for its next try; without effect on any other. */
  hurry(item: Item): void {
    for (const entry of this.#again) {
      if (entry.item !== item) continue;
      clearTimeout(entry.timer);
      entry.due();
      return;
    }
  }

  /** Takes out those that stand behind the running item of a key. */
  takeBehind(key: string): Item[] {
    return this.#behind.get(key)?.splice(0) ?? [];
  }

  /** Resolves when nothing runs. */
  async idle(): Promise<void> {
    if (this.#running.size === 0) return;
    await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #startReady(): void {
    while (this.#running.size < this.#options.maxRunning && this.#head < this.#ready.length) {
      const item = this.#ready[this.#head++];
      if (item !== undefined) void this.#start(item);
    }
    if (this.#head > 1024 || this.#head === this.#ready.length) {
      this.#ready = this.#ready.slice(this.#head);
      this.#head = 0;
    }
  }

  async #start(item: Item): Promise<void> {
    this.#running.add(item);
    const againAfterMs = await this.#options.run(item);
    this.#running.delete(item);
    if (againAfterMs === undefined) this.#release(this.#options.keyOf(item));
    else this.#runAgain(item, againAfterMs);
    this.#startReady();
    if (this.#running.size === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  #runAgain(item: Item, afterMs: number): void {
    const due = () => {
      this.#again.delete(entry);
      this.#ready.push(item); // K2: its key is still taken
      this.#startReady();
    };
    const entry = { item, timer: setTimeout(due, afterMs), due };
    this.#again.add(entry);
  }

  #release(key: string | undefined): void {
    if (key === undefined) return;
    const queue = this.#behind.get(key);
    const next = queue?.shift();
    if (next === undefined) this.#behind.delete(key);
    else this.#ready.push(next);
  }
}
