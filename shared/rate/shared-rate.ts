import { setTimeout as delay } from 'node:timers/promises';
import { context, ROOT_CONTEXT } from '@opentelemetry/api';
import { MAX_TIMER_MS } from '../max-timer.ts';
import { checkNumbers, OptionsError } from '../options.ts';
import { isStorable } from '../storable.ts';
import type { Database } from '../storage/database.ts';
import type { SqlClient } from '../storage/sql-client.ts';
import { RateClosedError, UnknownRateError } from './errors.ts';
import { declareRate, holdMs, mostTokens, type RateNumbers, takeTokens, updateRate } from './rate-rows.ts';

/**
 * A rate that any number of processes share through PostgreSQL.
 *
 * S1. In any stretch of `t` seconds no more than `perSecond` × t + `burst` are taken, by all processes together and whatever
 *     becomes of them. PostgreSQL's clock decides, and no other is asked.
 * S2. A process takes tokens in chunks, as large as it used up lately and at most what comes in within 50 ms. It holds what
 *     it does not use for a moment only (`holdMs`), and gives the rest back; one that dies takes what it held with it.
 * S3. Whoever comes first is served first: callers in a process by their order, processes by that of their asking, because
 *     what is not there yet is promised. None of them starves, and none polls.
 * S4. An answer that comes later than `holdMs` is used at once by those who wait for it, and by nobody else.
 */
export interface SharedRateOptions {
  readonly database: Database;
  /** At most 200 characters. Processes that give the same name share the rate, and the last to declare other numbers decides. */
  readonly name: string;
  /** In the long run. More than 0, at most 1_000_000. */
  readonly perSecond: number;
  /** What may be taken at once after a rest. From 1. Default: what comes in within a second, at least 1. */
  readonly burst?: number;
}

export interface SharedRate {
  readonly name: string;
  /**
   * Resolves when `count` (default 1) may be done, from 1 to half of the burst, or 1.
   *
   * Errors: OptionsError; the signal's reason; RateClosedError; DatabaseUnavailableError, and whatever else PostgreSQL
   * answers. What was taken for a caller that gave up is used by the next, or given back.
   */
  take(count?: number, options?: { readonly signal?: AbortSignal }): Promise<void>;
  /** Takes from what this process holds, without asking PostgreSQL; false: there is too little, or others wait for it. */
  tryTake(count?: number): boolean;
  /** For what was taken and not used, right after it was taken. */
  giveBack(count?: number): void;
  /** Whoever waits is told, and what is held is given back. May be called twice. Errors: none. */
  close(): Promise<void>;
}

/** A chunk is at most what comes in within this time, in ms: for that long the last of its tokens may have to be waited for. */
const CHUNK_MS = 50;

interface Waiter {
  readonly count: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Nothing is asked of the database before the first `take`. Errors: OptionsError. */
export function createSharedRate(options: SharedRateOptions): SharedRate {
  const { database, name } = options;
  const declared = checkedNumbers('createSharedRate', options);
  if (!name || name.length > 200 || !isStorable(name))
    throw new OptionsError('createSharedRate', ['name: expected 1 to 200 characters']);
  let numbers: RateNumbers = declared;
  let isDeclared = false;
  let waiting: Waiter[] = [];
  let held = 0;
  /** S1, S2. On the clock of `performance.now()`. */
  let heldUntilMs = 0;
  let letGo: NodeJS.Timeout | undefined;
  let chunk = 1;
  let usedOfChunk = 0;
  let asking: Promise<void> | undefined;
  let closed: Promise<void> | undefined;
  const closing = new AbortController();

  const ask = async (tokens: number) => {
    if (!isDeclared) await declareRate(database, name, declared);
    isDeclared = true;
    const grant = await takeTokens(database, name, tokens);
    if (!grant) throw new UnknownRateError(name); // somebody deleted it
    numbers = grant;
    return grant;
  };

  const returnHeld = async () => {
    clearTimeout(letGo);
    const rest = held;
    held = 0;
    // What cannot be given back is lost, which S1 allows.
    if (rest > 0) await context.with(ROOT_CONTEXT, () => takeTokens(database, name, -rest)).catch(() => {});
  };

  const holdUntil = (untilMs: number) => {
    clearTimeout(letGo);
    heldUntilMs = untilMs;
    letGo = setTimeout(() => void returnHeld(), Math.max(1, untilMs - performance.now())).unref();
  };

  const use = (count: number) => {
    held -= count;
    usedOfChunk += count;
  };

  const serve = () => {
    for (let first = waiting[0]; first && first.count <= held; first = waiting[0]) {
      waiting.shift();
      use(first.count);
      first.resolve();
    }
  };

  /** S2. As much as is waited for, or as was used of the chunk before: twice that when it was used up. */
  const nextChunk = (): number => {
    const needed = (waiting[0]?.count ?? 1) - held;
    const wanted = waiting.reduce((sum, { count }) => sum + count, 0) - held;
    const lately = usedOfChunk >= chunk ? chunk * 2 : usedOfChunk;
    const most = Math.min((numbers.perSecond * CHUNK_MS) / 1_000, mostTokens(numbers));
    return Math.max(needed, Math.floor(Math.min(Math.max(wanted, lately), most)));
  };

  const fetchChunks = async () => {
    while (waiting.length > 0) {
      chunk = nextChunk();
      usedOfChunk = 0;
      const askedAtMs = performance.now();
      const { afterMs } = await ask(chunk);
      await pause(afterMs, closing.signal);
      const older = held;
      held += chunk;
      serve();
      const untilMs = askedAtMs + afterMs + holdMs(numbers);
      if (held > 0 && untilMs <= performance.now())
        await returnHeld(); // S4
      else if (older === 0 || usedOfChunk >= older) holdUntil(untilMs);
    }
  };

  const pump = () => {
    asking ??= context
      .with(ROOT_CONTEXT, fetchChunks)
      .catch((error) => {
        isDeclared = false; // it may be another database by now
        for (const { reject } of waiting.splice(0)) reject(error);
      })
      .finally(() => {
        asking = undefined;
        if (waiting.length > 0) pump();
      });
  };

  const tryTake = (count = 1): boolean => {
    if (waiting.length > 0 || held < count || performance.now() > heldUntilMs) return false;
    use(count);
    return true;
  };

  const wait = (count: number, signal: AbortSignal | undefined) =>
    new Promise<void>((resolve, reject) => {
      const waiter = {
        count,
        reject,
        resolve() {
          signal?.removeEventListener('abort', giveUp);
          resolve();
        },
      };
      const giveUp = () => {
        waiting = waiting.filter((one) => one !== waiter);
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', giveUp, { once: true });
      waiting.push(waiter);
      pump();
    });

  return {
    name,
    tryTake,
    async take(count = 1, { signal } = {}) {
      checkCount(count, numbers);
      signal?.throwIfAborted();
      if (closed) throw new RateClosedError(name);
      if (!tryTake(count)) await wait(count, signal);
    },
    giveBack(count = 1) {
      if (closed) return;
      held += count;
      usedOfChunk = Math.max(0, usedOfChunk - count);
      if (heldUntilMs < performance.now()) holdUntil(performance.now() + holdMs(numbers));
      serve();
    },
    close() {
      closed ??= (async () => {
        closing.abort();
        for (const { reject } of waiting.splice(0)) reject(new RateClosedError(name));
        await asking;
        await returnHeld();
      })();
      return closed;
    },
  };
}

/**
 * Sets a rate that was declared: from the next chunk on, in every process, and until the code declares other numbers.
 *
 * Errors: OptionsError; UnknownRateError.
 */
export async function changeRate(
  client: SqlClient,
  name: string,
  to: { readonly perSecond: number; readonly burst?: number },
): Promise<void> {
  if (!(await updateRate(client, name, checkedNumbers('changeRate', to)))) throw new UnknownRateError(name);
}

function checkedNumbers(
  of: string,
  options: { readonly perSecond: number; readonly burst?: number },
): RateNumbers {
  checkNumbers(of, options, {
    perSecond: { min: 0.000_1, max: 1_000_000 },
    burst: { min: 1, max: 10_000_000 },
  });
  const { perSecond, burst = Math.max(1, perSecond) } = options;
  return { perSecond, burst };
}

function checkCount(count: number, numbers: RateNumbers): void {
  const most = mostTokens(numbers);
  if (Number.isInteger(count) && count >= 1 && count <= most) return;
  throw new OptionsError('take', [`count: expected a whole number from 1 to ${most}, got ${count}`]);
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (ms > 0) await delay(Math.min(ms, MAX_TIMER_MS), undefined, { signal }).catch(() => {});
}
