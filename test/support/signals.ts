import { createArrivals } from '../../shared/trace/arrivals.ts';

/** Counts calls, and lets a test wait for them. */
export interface Signals {
  readonly count: number;
  readonly signal: () => void;
  /** Resolves when there were `count` calls since the beginning. */
  reached(count: number): Promise<void>;
}

const TIMEOUT_MS = 20_000;

export function createSignals(): Signals {
  let count = 0;
  const arrivals = createArrivals(() => `${count} calls`);
  return {
    get count() {
      return count;
    },
    signal() {
      count += 1;
      arrivals.notify();
    },
    async reached(wanted) {
      await arrivals.waitFor(() => count >= wanted, { timeoutMs: TIMEOUT_MS });
    },
  };
}
