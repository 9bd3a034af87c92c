import type { Outcome } from '../../shared/index.ts';
import { createArrivals } from '../../shared/trace/arrivals.ts';
import type { Delivery } from '../../subscriber/index.ts';
import { PATIENCE_MS } from './patience.ts';

export interface Settled {
  readonly jobId: string;
  readonly messageId: string;
  readonly attempt: number;
  readonly outcome: Outcome['kind'];
}

/** What workers have settled, in order; tests await it instead of guessing how long something takes. */
export interface SettledLog {
  readonly entries: readonly Settled[];
  /** The worker's `onSettled`. */
  readonly add: (delivery: Delivery, outcome: Outcome) => void;
  /** Resolves when `count` deliveries came to their end: done, dead-lettered or cancelled. */
  final(count: number): Promise<readonly Settled[]>;
  /** Resolves when `count` deliveries were settled, those that will be retried included. */
  all(count: number): Promise<readonly Settled[]>;
}

export function createSettledLog(): SettledLog {
  const entries: Settled[] = [];
  const arrivals = createArrivals(() => JSON.stringify(entries.slice(-50), undefined, 1));
  const until = (wanted: (entry: Settled) => boolean, count: number) =>
    arrivals.waitFor(
      () => {
        const found = entries.filter(wanted);
        return found.length >= count && found;
      },
      { timeoutMs: PATIENCE_MS },
    );
  return {
    entries,
    add({ jobId, message, attempt }, { kind }) {
      entries.push({ jobId, messageId: message.id, attempt, outcome: kind });
      arrivals.notify();
    },
    final: (count) => until(({ outcome }) => outcome !== 'retry', count),
    all: (count) => until(() => true, count),
  };
}
