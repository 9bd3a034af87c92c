import { setTimeout as delay } from 'node:timers/promises';
import type { Child } from '../system/child.ts';

/** A process that is always started again, as a supervisor of containers does. */
export interface Part {
  /** SIGKILL, and there again after `downMs`. Resolves when it is ready. */
  hit(downMs: number): Promise<void>;
  /** Resolves when it is ready. */
  ready(): Promise<void>;
  /** Ends it for good. */
  stop(): Promise<void>;
}

export interface PartOptions {
  readonly name: string;
  readonly start: () => Promise<Child<object>>;
  /** Called when it ended although nobody had it killed, or could not be started because something else was away. */
  readonly onUnwanted: (name: string, what: 'ended' | 'not started', error: unknown) => void;
  /** Called each time it is ready. */
  readonly onReady?: () => Promise<void>;
}

const RESTART_PAUSE_MS = 300;

/** Errors: when it cannot be started at first, with nothing away yet. */
export async function startPart(options: PartOptions): Promise<Part> {
  let isWanted = true;
  let child: Child<object> | undefined;
  /** What it is busy with: one start or kill after the other. */
  let last: Promise<void> = Promise.resolve();
  const serially = (work: () => Promise<void>) => {
    last = last.then(work);
    return last;
  };

  const startOnce = async () => {
    child = await options.start();
    watch(child);
    await options.onReady?.();
  };
  const start = async () => {
    while (isWanted) {
      try {
        return await startOnce();
      } catch (error) {
        options.onUnwanted(options.name, 'not started', error);
        await child?.kill();
        await delay(RESTART_PAUSE_MS);
      }
    }
  };
  const watch = (watched: Child<object>) => {
    watched.died.catch((error) => {
      options.onUnwanted(options.name, 'ended', error);
      if (child === watched) void serially(start);
    });
  };

  await serially(startOnce);
  return {
    hit: (downMs) =>
      serially(async () => {
        await child?.kill();
        await delay(downMs);
        await start();
      }),
    ready: () => last,
    stop: () => {
      isWanted = false;
      return serially(async () => child?.stop());
    },
  };
}
