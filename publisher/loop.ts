import { context, ROOT_CONTEXT } from '@opentelemetry/api';
import type { Logger } from '../shared/log.ts';

export interface Loop {
  /** Runs the work now, or once more after the run under way. */
  trigger(): void;
  stop(): Promise<void>;
}

/** Never twice at the same time, and nobody's span is active in it. Failures are told and tried again at the next trigger. */
export function createLoop(
  work: (isStopped: () => boolean) => Promise<void>,
  logger: Logger | undefined,
  failed = 'relaying failed; it will be tried again',
): Loop {
  let running: Promise<void> | undefined;
  let again = false;
  let isStopped = false;
  const run = async () => {
    while (again && !isStopped) {
      again = false;
      await work(() => isStopped).catch((error) => logger?.warn({ err: error }, failed));
    }
    running = undefined;
  };
  return {
    trigger() {
      again = true;
      if (!isStopped) running ??= context.with(ROOT_CONTEXT, run);
    },
    async stop() {
      isStopped = true;
      await running;
    },
  };
}
