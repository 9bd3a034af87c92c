import type { Child } from './child.ts';

/** Ends what was started, in reverse, also when a signal comes. */
export interface Stops {
  add(stop: () => Promise<unknown>): void;
  /** Ends the child with the rest, as soon as it is there. */
  child<Ready>(starting: Promise<Child<Ready>>): Promise<Child<Ready>>;
  /** One that fails does not keep the others. May be called twice. Errors: AggregateError. */
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
    const failures: unknown[] = [];
    for (let stop = stops.pop(); stop; stop = stops.pop())
      await stop().catch((error) => failures.push(error));
    for (const signal of SIGNALS) process.off(signal, interrupted);
    if (failures.length > 0)
      throw new AggregateError(failures, `could not be stopped: ${failures.map(String).join('; ')}`);
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
