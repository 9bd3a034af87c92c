import { type Child, type ChildOptions, startChild } from '../system/child.ts';

/** A process that is killed and comes back, again and again. */
export interface Revivable {
  /** SIGKILL, `awayMs` of absence, a new process. */
  strike(awayMs: number): Promise<void>;
  stop(): Promise<void>;
}

export interface RevivableOptions extends ChildOptions {
  /** After each start: what has to be done before it is of use. */
  readonly onStarted?: () => Promise<void>;
  /** It ended although nobody here ended it; it is started again. */
  readonly onDied: (error: unknown) => void;
}

const RESTART_PAUSE_MS = 500;
const MAX_STARTS_IN_A_ROW = 20;

/** Errors: that of the first start. */
export async function startRevivable(options: RevivableOptions): Promise<Revivable> {
  let child: Child<unknown> | undefined;
  let isOver = false;
  let changing: Promise<void> = Promise.resolve();

  const start = async () => {
    const started = await startChild<unknown>(options);
    await options.onStarted?.();
    child = started;
    started.died.catch((error) => {
      if (isOver) return;
      options.onDied(error);
      queue(revive);
    });
  };
  /** A process may need several starts: PostgreSQL may be away as well. */
  const revive = async () => {
    for (let tries = 0; tries < MAX_STARTS_IN_A_ROW && !isOver; tries++) {
      try {
        return await start();
      } catch {
        await pause(RESTART_PAUSE_MS);
      }
    }
  };
  /** One thing at a time. */
  const queue = (work: () => Promise<void>): Promise<void> => {
    changing = changing.then(work, work);
    return changing;
  };

  await start();
  return {
    strike: (awayMs) =>
      queue(async () => {
        if (isOver) return;
        await child?.kill();
        await pause(awayMs);
        await revive();
      }),
    stop() {
      isOver = true;
      return queue(async () => child?.stop());
    },
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
