import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { type DatabaseOptions, poolConfig } from './pool-config.ts';

export interface ListenerOptions {
  readonly options: DatabaseOptions;
  readonly channel: string;
  readonly onNotice: () => void;
  readonly onLost: (error: unknown) => void;
}

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 2_000;

/**
 * A connection of its own that listens, for as long as it is wanted. After a reconnection it calls back once, because
 * notifications of the time between are gone.
 */
export function createListener({ options, channel, onNotice, onLost }: ListenerOptions) {
  const stopping = new AbortController();
  const attempted = Promise.withResolvers<void>();

  const listenOnce = async (): Promise<void> => {
    // Its time-out of answers is for LISTEN itself: waiting for notifications is no statement.
    const own = new pg.Client({ ...poolConfig(options), statement_timeout: 0 });
    const ended = new Promise<void>((resolve) => own.once('end', () => resolve()));
    const end = () => void own.end().catch(() => {});
    own.on('error', onLost);
    own.on('notification', onNotice);
    try {
      await own.connect();
      await own.query(`LISTEN ${own.escapeIdentifier(channel)}`);
      attempted.resolve();
      stopping.signal.addEventListener('abort', end);
      if (stopping.signal.aborted) return; // it was stopped meanwhile
      onNotice();
      await ended;
    } finally {
      stopping.signal.removeEventListener('abort', end);
      end();
    }
  };

  const keepListening = async () => {
    let pauseMs = FIRST_PAUSE_MS;
    while (!stopping.signal.aborted) {
      const startedMs = performance.now();
      await listenOnce().catch(onLost);
      attempted.resolve();
      if (performance.now() - startedMs > LONGEST_PAUSE_MS) pauseMs = FIRST_PAUSE_MS;
      await delay(pauseMs, undefined, { signal: stopping.signal }).catch(() => {});
      pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
    }
  };

  const running = keepListening();
  return {
    /** Resolves once it listens for the first time, or the first attempt to has failed. */
    ready: attempted.promise,
    async stop() {
      stopping.abort();
      await running;
    },
  };
}
