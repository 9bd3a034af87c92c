import { MAX_TIMER_MS } from './max-timer.ts';

export interface TimeLimit {
  readonly timeoutMs: number;
  /** Aborted with the error of `onTimeout`, or by its owner. */
  readonly controller: AbortController;
  /** How long work that was told to stop may take to notice, before it is left behind, in ms. Default 1_000. */
  readonly settleMs?: number;
  readonly onTimeout: () => Error;
}

/**
 * Runs `work` for at most `timeoutMs`, then aborts its signal and fails with `onTimeout`'s error.
 *
 * Work that heeds its signal is waited for, so that nothing runs beside it afterwards; a result that it still reaches
 * counts. Work that does not is left behind.
 * Errors: what `work` throws, unless the time was up: then `onTimeout`'s.
 */
export function withTimeLimit<T>(limit: TimeLimit, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const { controller, settleMs = 1_000 } = limit;
  return new Promise((resolve, reject) => {
    let late: Error | undefined;
    let timer = setTimeout(
      () => {
        late = limit.onTimeout();
        controller.abort(late);
        timer = setTimeout(reject, settleMs, late);
        timer.unref();
      },
      Math.min(limit.timeoutMs, MAX_TIMER_MS),
    );
    timer.unref(); // work that never ends shall not keep a stopped process alive
    work(controller.signal).then(
      (value) => {
        clearTimeout(timer);
        resolve(value);
      },
      (error: unknown) => {
        clearTimeout(timer);
        reject(late ?? error);
      },
    );
  });
}

/**
 * Waits for work, but no longer than `ms`; the work itself goes on.
 *
 * Shape:  its result, or what `onLate` returns. Errors: those of the work within that time, and what `onLate` throws.
 */
export async function inTime<T, Late>(work: Promise<T>, ms: number, onLate: () => Late): Promise<T | Late> {
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, Math.min(ms, MAX_TIMER_MS));
  try {
    return await Promise.race([work, late.promise.then(onLate)]);
  } finally {
    clearTimeout(timer);
  }
}

/** The same where it does not matter which of the two it was. */
export async function atMost(ms: number, work: Promise<unknown>): Promise<void> {
  await inTime(work, ms, () => undefined);
}
