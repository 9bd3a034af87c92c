import { context, ROOT_CONTEXT } from '@opentelemetry/api';
import type { Logger } from '../log.ts';
import type { Database } from './database.ts';

export interface PollingOptions {
  readonly database: Database;
  /** Of the notifications that wake it. */
  readonly channel: string;
  readonly pollMs: number;
  readonly poll: () => Promise<void>;
  /** What fails when it does, for the log: `looking for sagas`. */
  readonly what: string;
  readonly logger: Logger | undefined;
}

/** Polls at intervals, and at once when notified or woken; never twice at the same time. */
export async function startPolling({
  database,
  channel,
  pollMs,
  poll,
  what,
  logger,
}: PollingOptions): Promise<{ wake(): void; stop(): Promise<void> }> {
  let running: Promise<void> | undefined;
  let again = false;
  const once = async () => {
    do {
      again = false;
      await poll().catch((error) => logger?.warn({ err: error }, `${what} failed; it will be tried again`));
    } while (again);
    running = undefined;
  };
  const trigger = () => {
    again = true;
    running ??= context.with(ROOT_CONTEXT, once);
  };
  const timer = setInterval(trigger, pollMs);
  const unlisten = await database.listen(channel, trigger);
  return {
    wake: trigger,
    async stop() {
      clearInterval(timer);
      await unlisten();
      await running;
    },
  };
}
