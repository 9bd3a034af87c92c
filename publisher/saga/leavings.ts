import { MAX_TIMER_MS } from '../../shared/max-timer.ts';

/** Who waits for sagas to leave this process; each for a time of its own. */
export interface Leavings {
  /** Shape: false when the time is up before the saga has left. */
  left(sagaId: string, timeoutMs: number): Promise<boolean>;
  /** The saga has left. */
  tell(sagaId: string): void;
}

export function createLeavings(): Leavings {
  const waiting = new Map<string, Set<() => void>>();
  const give = (sagaId: string, tell: () => void) => {
    const all = waiting.get(sagaId) ?? new Set();
    waiting.set(sagaId, all.add(tell));
  };
  const takeBack = (sagaId: string, tell: () => void) => {
    const all = waiting.get(sagaId);
    if (all?.delete(tell) && all.size === 0) waiting.delete(sagaId);
  };
  return {
    left: (sagaId, timeoutMs) =>
      new Promise((resolve) => {
        const tell = () => {
          clearTimeout(timer);
          resolve(true);
        };
        const giveUp = () => {
          takeBack(sagaId, tell);
          resolve(false);
        };
        const timer = setTimeout(giveUp, Math.min(timeoutMs, MAX_TIMER_MS));
        give(sagaId, tell);
      }),
    tell(sagaId) {
      const all = waiting.get(sagaId);
      if (!all) return;
      waiting.delete(sagaId);
      for (const tell of all) tell();
    },
  };
}
