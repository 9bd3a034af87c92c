/** Time as the emulator sees it. Tests pass one that stands still until they move it. */
export interface Clock {
  /** Milliseconds since the epoch; never runs backwards, so that deadlines survive a change of the wall clock. */
  nowMs(): number;
  /** Runs `task` once, after what is being handled now. */
  soon(task: () => void): void;
  /** Runs `task` once after `delayMs`; the result cancels it. */
  after(delayMs: number, task: () => void): () => void;
}

export const systemClock: Clock = {
  nowMs: () => performance.timeOrigin + performance.now(),
  soon: (task) => void setImmediate(task),
  after: (delayMs, task) => {
    const timer = setTimeout(task, delayMs);
    return () => clearTimeout(timer);
  },
};
