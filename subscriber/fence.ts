import { context, ROOT_CONTEXT } from '@opentelemetry/api';
import { type Fence, type FencedFacts, FenceSet } from '../shared/fence/fence.ts';
import { readStanding } from '../shared/fence/fence-rows.ts';
import { FENCE_CHANNEL } from '../shared/fence/operate.ts';
import { campaignOf } from '../shared/job/campaign.ts';
import type { Logger } from '../shared/log.ts';
import { checkNumbers, OptionsError } from '../shared/options.ts';
import type { Database } from '../shared/storage/database.ts';
import { atMost } from '../shared/time-limit.ts';
import type { Delivery } from './delivery.ts';
import { FencedError, FencesUnknownError } from './errors.ts';

/**
 * What a worker knows of the fences that stand.
 *
 * F3. A fence is seen at once when its notification comes, after `pollMs` and a query's time when that was lost.
 * F4. What was read longer than `trustMs` ago is not believed: jobs wait, and no effect is let through, until the fences
 *     were read again. A worker that cannot reach the database has therefore stopped within `trustMs`.
 * F5. A fence that cancels aborts what runs; one that pauses lets it go on to its next `checkFence()`, because an effect
 *     that is cut off half-way is uncertain for nothing.
 * F6. What a cancelling fence has struck while it ran stays struck, also when the fence is lifted meanwhile.
 */
export interface FencesOptions {
  readonly database: Database;
  /** How often the fences are read although no notification came, in ms. Default 1_000. */
  readonly pollMs?: number;
  /** How long it is believed what was read, in ms; longer than `pollMs`. Default 5_000. */
  readonly trustMs?: number;
  /** After this a paused job is looked at again although no fence was lifted, in ms: 1_000 to 600_000. Default 60_000. */
  readonly pausedRetryMs?: number;
  readonly logger?: Logger | undefined;
}

export interface Fences {
  readonly pausedRetryMs: number;
  /** The fence that stops such a job. Errors: FencesUnknownError (F4). */
  find(facts: FencedFacts): Fence | undefined;
  /** Watches a job that runs; `onCancel` is called once when a fence cancels it. */
  watch(facts: FencedFacts, onCancel: (error: FencedError) => void): Watched;
  /** Calls back whenever other fences stand than before, or it is known again which ones do. Shape: a function that stops it. */
  onChange(callback: () => void): () => void;
  /** Reads the fences and goes on to. May be called twice. Errors: none; until they could be read nothing runs. */
  start(): Promise<void>;
  /** May be called twice. */
  stop(): Promise<void>;
}

/** A job that runs, as the fences see it. */
export interface Watched {
  /** Errors: FencedError, FencesUnknownError. */
  check(): void;
  /** What `check` threw, or what cancelled the job; undefined: nothing has stopped it. */
  readonly stopped: FencedError | FencesUnknownError | undefined;
  end(): void;
}

/** How long a stop waits for a reading that is under way, in ms: it may wait for a database that is away. */
const STOP_WITHIN_MS = 1_000;

interface Running {
  readonly facts: FencedFacts;
  readonly strike: (fence: Fence) => void;
}

/** Errors: OptionsError. */
export function createFences(options: FencesOptions): Fences {
  checkNumbers('createFences', options, {
    pollMs: { min: 10 },
    trustMs: { min: 20 },
    pausedRetryMs: { min: 1_000, max: 600_000 },
  });
  const { database, pollMs = 1_000, trustMs = 5_000, pausedRetryMs = 60_000, logger } = options;
  if (trustMs <= pollMs) throw new OptionsError('createFences', ['trustMs: expected more than pollMs']);
  const running = new Set<Running>();
  const listeners = new Set<() => void>();
  let known = new FenceSet([]);
  let readAtMs = Number.NEGATIVE_INFINITY;

  const find = (facts: FencedFacts) => {
    if (performance.now() - readAtMs > trustMs) throw new FencesUnknownError(trustMs); // F4
    return known.find(facts);
  };

  const read = async () => {
    const startedMs = performance.now(); // F4: what is committed after this may not be in the answer
    const next = new FenceSet(await readStanding(database));
    const wereUnknown = performance.now() - readAtMs > trustMs;
    readAtMs = startedMs;
    if (next.equals(known) && !wereUnknown) return;
    known = next;
    for (const { facts, strike } of running) {
      const fence = next.find(facts);
      if (fence?.action === 'cancel') strike(fence); // F5
    }
    for (const listener of listeners) listener();
  };

  const polling = createPolling(read, (error) =>
    logger?.warn({ err: error }, 'the fences could not be read; jobs wait once that lasts'),
  );
  let timer: NodeJS.Timeout | undefined;
  let listening: Promise<() => Promise<void>> | undefined;
  let started: Promise<void> | undefined;
  let stopped: Promise<void> | undefined;

  return {
    pausedRetryMs,
    find,
    watch(facts, onCancel) {
      let struck: FencedError | undefined; // F6
      let refused: FencedError | FencesUnknownError | undefined;
      const entry = {
        facts,
        strike(fence: Fence) {
          if (struck) return;
          struck = new FencedError(fence);
          onCancel(struck);
        },
      };
      running.add(entry);
      return {
        check() {
          refused = undefined;
          if (struck) throw struck;
          try {
            const fence = find(facts);
            if (!fence) return;
            if (fence.action === 'cancel') entry.strike(fence);
            refused = struck ?? new FencedError(fence);
          } catch (error) {
            if (!(error instanceof FencesUnknownError)) throw error;
            refused = error;
          }
          throw refused;
        },
        get stopped() {
          return struck ?? refused;
        },
        end: () => void running.delete(entry),
      };
    },
    onChange(callback) {
      listeners.add(callback);
      return () => void listeners.delete(callback);
    },
    start() {
      started ??= (async () => {
        if (stopped) return;
        timer = setInterval(polling.trigger, pollMs);
        timer.unref();
        listening = database.listen(FENCE_CHANNEL, polling.trigger);
        // A database that is away must not keep a worker from starting: until it is back, nothing runs.
        await atMost(trustMs, Promise.all([listening, polling.once()]));
      })();
      return started;
    },
    stop() {
      stopped ??= (async () => {
        clearInterval(timer);
        await atMost(STOP_WITHIN_MS, polling.idle());
        await (await listening)?.();
      })();
      return stopped;
    },
  };
}

/** Reads at once when told to, never twice at the same time: whoever asks during a reading has the next one. */
function createPolling(read: () => Promise<void>, onError: (error: unknown) => void) {
  let current: Promise<void> | undefined;
  let isWanted = false;
  const loop = async () => {
    while (isWanted) {
      isWanted = false;
      await read().catch(onError);
    }
    current = undefined;
  };
  const once = (): Promise<void> => {
    isWanted = true;
    current ??= context.with(ROOT_CONTEXT, loop);
    return current;
  };
  return { once, trigger: () => void once(), idle: async () => current };
}

/** What fences look at in a delivery. */
export function factsOf({ registration, message, orderKey }: Delivery): FencedFacts {
  return { job: registration?.job.name, campaign: campaignOf(message.attributes), orderKey };
}
