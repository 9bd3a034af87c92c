import { createArrivals } from '../../shared/trace/arrivals.ts';
import { PATIENCE_MS } from './patience.ts';

/** Counts calls, and lets a test wait for them. */
export interface Signals {
  readonly count: number;
  readonly signal: () => void;
  /** Resolves when there were `count` calls since the beginning. */
  reached(count: number): Promise<void>;
}

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
      await arrivals.waitFor(() => count >= wanted, { timeoutMs: PATIENCE_MS });
    },
  };
}
