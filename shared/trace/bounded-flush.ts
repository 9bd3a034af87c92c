import { inTime } from '../time-limit.ts';

/** The longest that anything final waits for an exporter, in ms. */
const MAX_WAIT_MS = 1_000;
/** An exporter that failed or was too slow is not waited for during this time, in ms. */
const PAUSE_MS = 10_000;

/**
 * Makes a flush that callers may wait for without depending on it: it gives up after a second, and is then left out for a
 * while, so that a dead or slow receiver of spans costs next to nothing.
 */
export function createBoundedFlush(flush: () => Promise<void>): () => Promise<void> {
  let resumesAtMs = 0;
  let shared: Promise<void> | undefined;
  let queued: Promise<void> | undefined;
  const once = async () => {
    try {
      await inTime(flush(), MAX_WAIT_MS, () => {
        throw new Error('too slow');
      });
    } catch {
      resumesAtMs = performance.now() + PAUSE_MS;
    }
  };
  const next = (): Promise<void> => {
    shared = once().finally(() => {
      shared = undefined;
    });
    return shared;
  };
  return async () => {
    if (performance.now() < resumesAtMs) return;
    if (!shared) return next();
    // The flush under way may have begun before the caller's spans ended: whoever comes now shares the one after it.
    queued ??= shared.then(() => {
      queued = undefined;
      return performance.now() < resumesAtMs ? undefined : next();
    });
    return queued;
  };
}
