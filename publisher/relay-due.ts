import type { Logger } from '../shared/log.ts';
import type { Database } from '../shared/storage/database.ts';
import { MOVE_ROWS, moveDue, nextDueMs } from './delayed-rows.ts';
import { createLoop, type Loop } from './loop.ts';
import { createTimer } from './timer.ts';

export interface DueOptions {
  readonly database: Database;
  /** What is due later than this after it was enqueued begins a trace, in ms. */
  readonly continueWithinMs: number;
  readonly onMoved: () => void;
  readonly logger: Logger | undefined;
}

export interface DueJobs extends Loop {
  /** Looks within a moment: each job that is enqueued may be due soon, and there may be thousands in a second. */
  triggerSoon(): void;
}

/** So long after a job was enqueued is looked for the time at which the next one is due, in ms. */
const SOON_MS = 50;

/** Moves delayed jobs to the outbox when they are due (relay.ts: O6). It sleeps until the next one is, or until it is triggered. */
export function createDueJobs({ database, continueWithinMs, onMoved, logger }: DueOptions): DueJobs {
  const loop = createLoop(
    async (isStopped) => {
      for (let rows = MOVE_ROWS; rows === MOVE_ROWS && !isStopped(); ) {
        rows = await moveDue(database, continueWithinMs);
        if (rows > 0) onMoved();
      }
      const nextMs = await nextDueMs(database);
      // What is due by now is in another relay's hands, or became due this moment.
      if (nextMs !== undefined) timer.in(Math.max(nextMs, SOON_MS));
    },
    logger,
    'jobs that are due could not be moved to the outbox; it will be tried again',
  );
  const timer = createTimer(loop.trigger);
  return {
    trigger: loop.trigger,
    triggerSoon: () => timer.in(SOON_MS),
    async stop() {
      timer.stop();
      await loop.stop();
    },
  };
}
