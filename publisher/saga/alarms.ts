/** A longer wait is left to polling, in ms: its lateness counts for little, and there may be a million of them. */
const MAX_ALARM_MS = 10_000;

/** Wakes sagas that wait for a short time at the end of it, when polling would be late. */
export interface Alarms {
  /** Replaces the one that the saga has. */
  set(sagaId: string, dueMs: number): void;
  clear(sagaId: string): void;
  clearAll(): void;
}

export function createAlarms(wake: (sagaId: string) => void): Alarms {
  const timers = new Map<string, NodeJS.Timeout>();
  const ring = (sagaId: string) => {
    timers.delete(sagaId);
    wake(sagaId);
  };
  const clear = (sagaId: string) => {
    clearTimeout(timers.get(sagaId));
    timers.delete(sagaId);
  };
  return {
    set(sagaId, dueMs) {
      clear(sagaId);
      const delayMs = Math.max(0, dueMs - Date.now());
      if (delayMs <= MAX_ALARM_MS) timers.set(sagaId, setTimeout(ring, delayMs, sagaId).unref());
    },
    clear,
    clearAll() {
      for (const timer of timers.values()) clearTimeout(timer);
      timers.clear();
    },
  };
}
