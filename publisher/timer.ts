import { MAX_TIMER_MS } from '../shared/max-timer.ts';

/** One alarm, which rings at the earliest of the times that it was set to since it rang last. */
export interface Timer {
  in(ms: number): void;
  /** It never rings again. */
  stop(): void;
}

export function createTimer(ring: () => void): Timer {
  let timer: NodeJS.Timeout | undefined;
  let atMs = Number.POSITIVE_INFINITY;
  let isStopped = false;
  const fire = () => {
    atMs = Number.POSITIVE_INFINITY;
    ring();
  };
  return {
    in(ms) {
      const thenMs = performance.now() + ms;
      if (isStopped || thenMs >= atMs) return;
      clearTimeout(timer);
      atMs = thenMs;
      timer = setTimeout(fire, Math.min(ms, MAX_TIMER_MS));
    },
    stop() {
      isStopped = true;
      clearTimeout(timer);
    },
  };
}
