import type { Delivery } from './delivery.ts';
import { FencesUnknownError } from './errors.ts';
import { type Fences, factsOf } from './fence.ts';

/** Deliveries that are kept in mind; what a fence pauses beyond that comes back by itself. */
const MAX_REMEMBERED = 10_000;

interface Paused {
  readonly isPaused: () => boolean;
  readonly resume: () => void;
  readonly untilMs: number;
}

/**
 * The deliveries of this worker that wait for a fence to be lifted, so that they come back when it is: at once, and each
 * once. A worker that dies takes the memory with it; its deliveries come back after `Fences.pausedRetryMs`.
 */
export interface PausedDeliveries {
  /**
   * `resume` brings the delivery back before its time; it is called at most once, and not after `afterMs`.
   *
   * Shape: how long the delivery has to wait, in ms: `afterMs`, or 0 when the fence was lifted meanwhile.
   */
  add(delivery: Delivery, afterMs: number, resume: () => void): number;
  /** Brings all of them back, for other workers to take. */
  stop(): void;
}

export function createPausedDeliveries(fences: Fences): PausedDeliveries {
  /** By the token of the delivery, the oldest first. */
  const waiting = new Map<string, Paused>();

  const resumeLifted = () => {
    const nowMs = performance.now();
    for (const [ackId, { isPaused, resume, untilMs }] of waiting) {
      if (untilMs > nowMs && isPaused()) continue;
      waiting.delete(ackId);
      if (untilMs > nowMs) resume();
    }
  };
  const unwatch = fences.onChange(resumeLifted);

  const forgetOldest = () => {
    const nowMs = performance.now();
    for (const [ackId, { untilMs }] of waiting) {
      if (untilMs > nowMs && waiting.size < MAX_REMEMBERED) return;
      waiting.delete(ackId);
    }
  };

  return {
    add(delivery, afterMs, resume) {
      const facts = factsOf(delivery);
      const isPaused = () => isStillPaused(fences, facts);
      if (!isPaused()) return 0;
      forgetOldest();
      const { ackId } = delivery.message;
      waiting.delete(ackId); // it goes to the end
      waiting.set(ackId, { isPaused, resume, untilMs: performance.now() + afterMs });
      return afterMs;
    },
    stop() {
      unwatch();
      for (const { resume } of waiting.values()) resume();
      waiting.clear();
    },
  };
}

/** A fence that cancels lets it come back as well: to be cancelled. */
function isStillPaused(fences: Fences, facts: ReturnType<typeof factsOf>): boolean {
  try {
    return fences.find(facts)?.action === 'pause';
  } catch (error) {
    if (error instanceof FencesUnknownError) return true;
    throw error;
  }
}
