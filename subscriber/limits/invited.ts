/** Jobs that were told to come back, each for a while: after that its place goes to another one. */
export class Invited {
  readonly #ms: number;
  readonly #onForgotten: () => void;
  readonly #timers = new Map<string, NodeJS.Timeout>();

  /** `onForgotten` is called for each that did not come in time. */
  constructor(ms: number, onForgotten: () => void = () => {}) {
    this.#ms = ms;
    this.#onForgotten = onForgotten;
  }

  add(jobId: string): void {
    clearTimeout(this.#timers.get(jobId));
    const forget = () => {
      this.#timers.delete(jobId);
      this.#onForgotten();
    };
    this.#timers.set(jobId, setTimeout(forget, this.#ms).unref());
  }

  /** Whether it was told to come; it is not any more. */
  remove(jobId: string): boolean {
    clearTimeout(this.#timers.get(jobId));
    return this.#timers.delete(jobId);
  }

  clear(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }
}
