import type { Delivery, Middleware } from '../delivery.ts';
import { HandlerTimeoutError } from '../errors.ts';

/** How long an aborted handler may take to notice, before it is left behind. */
const SETTLE_MS = 1_000;

/**
 * Aborts the handler's signal after the job's time-out and fails the attempt with HandlerTimeoutError.
 *
 * A handler that heeds its signal is waited for, so that the next attempt does not run beside it; an outcome that it
 * still reaches counts. One that does not is left behind after a second: its effect must be guarded by the job id.
 */
export const timeout: Middleware = (next) => (delivery, signal) => {
  const timeoutMs = delivery.registration?.job.timeoutMs;
  if (timeoutMs === undefined) return next(delivery, signal);
  const own = new AbortController();
  const unfollow = follow(signal, own);
  return new Promise((resolve, reject) => {
    let late: HandlerTimeoutError | undefined;
    let timer = setTimeout(() => {
      const error = timedOut(delivery, timeoutMs);
      late = error;
      own.abort(error);
      timer = setTimeout(() => reject(error), SETTLE_MS);
    }, timeoutMs);
    timer.unref(); // a handler that never ends shall not keep a stopped process alive
    const finished = () => {
      clearTimeout(timer);
      unfollow();
    };
    const running = next(delivery, own.signal);
    running.then(finished, finished);
    running.then(resolve, (error) => reject(late ?? error));
  });
};

/** The controllers that follow a signal. A worker has one signal and many handlers: one listener serves them all. */
const followers = new WeakMap<AbortSignal, Set<AbortController>>();

export function follow(signal: AbortSignal, controller: AbortController): () => void {
  if (signal.aborted) controller.abort(signal.reason);
  let set = followers.get(signal);
  if (!set) {
    const created = new Set<AbortController>();
    signal.addEventListener('abort', () => {
      for (const follower of created) follower.abort(signal.reason);
    });
    followers.set(signal, created);
    set = created;
  }
  const joined = set.add(controller);
  return () => joined.delete(controller);
}

function timedOut(delivery: Delivery, timeoutMs: number): HandlerTimeoutError {
  return new HandlerTimeoutError(delivery.jobType ?? 'this job', timeoutMs);
}
