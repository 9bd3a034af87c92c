import type { MessageSource } from '../../shared/index.ts';
import { createArrivals } from '../../shared/trace/arrivals.ts';
import { PATIENCE_MS } from './patience.ts';

/** Counts the messages that have reached this process, whether or not their handler has begun. */
export interface ArrivalCount {
  watch(source: MessageSource): MessageSource;
  /** Resolves when there have been so many. */
  reached(count: number): Promise<unknown>;
}

export function createArrivalCount(): ArrivalCount {
  let arrived = 0;
  const arrivals = createArrivals(() => `${arrived} messages`);
  return {
    watch: (source) => ({
      ...source,
      start: (listener) =>
        source.start({
          ...listener,
          onMessage: (message) => {
            listener.onMessage(message);
            arrived += 1;
            arrivals.notify();
          },
        }),
    }),
    reached: (count) => arrivals.waitFor(() => arrived >= count, { timeoutMs: PATIENCE_MS }),
  };
}
