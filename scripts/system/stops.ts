import type { Child } from './child.ts';

/** Ends what was started, in reverse, also when a signal comes. */
export interface Stops {
  add(stop: () => Promise<unknown>): void;
  /** Ends the child with the rest, as soon as it is there. */
  child<Ready>(starting: Promise<Child<Ready>>): Promise<Child<Ready>>;
  /** May be called twice. */
  run(): Promise<void>;
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** What shells report for a program that Ctrl-C ended. */
const INTERRUPTED = 130;

/** A signal leaves nothing behind: neither processes, nor an emulator that may be in a process group of its own. */
export function createStops(): Stops {
  const stops: (() => Promise<unknown>)[] = [];
  let isOver = false;
  const run = async () => {
    isOver = true;
    for (let stop = stops.pop(); stop; stop = stops.pop()) await stop();
    for (const signal of SIGNALS) process.off(signal, interrupted);
  };
  const interrupted = () => void run().finally(() => process.exit(INTERRUPTED));
  for (const signal of SIGNALS) process.once(signal, interrupted);
  // What is ready only when all is over already, because another part failed meanwhile, ends at once.
  const add = (stop: () => Promise<unknown>) => {
    if (isOver) void stop();
    else stops.push(stop);
  };
  return {
    add,
    async child(starting) {
      add(() => starting.then((child) => child.stop()).catch(() => {}));
      return starting;
    },
    run,
  };
}
