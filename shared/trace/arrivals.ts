import { ThroughlineError } from '../errors.ts';

/**
 * Lets tests and pages wait for something that arriving spans make true, without polling.
 *
 * Whoever adds spans calls `notify`; each waiter then asks its question again. The only timer is the time-out.
 */
export interface Arrivals {
  /**
   * Resolves with the first answer that is neither undefined, null nor false: at once when there is one already.
   *
   * Errors: AwaitedSpansMissingError after `timeoutMs`; whatever `ask` throws.
   */
  readonly waitFor: <T>(ask: () => T | Nothing, options: WaitOptions) => Promise<T>;
  readonly notify: () => void;
}

export type Nothing = undefined | null | false;

export interface WaitOptions {
  /** How long to wait, in ms. 0 asks once. */
  readonly timeoutMs: number;
}

export class AwaitedSpansMissingError extends ThroughlineError {
  override readonly name = 'AwaitedSpansMissingError';
  readonly code = 'AWAITED_SPANS_MISSING';
  override readonly retryable = true;
  readonly timeoutMs: number;

  constructor(timeoutMs: number, seen: string, options?: ErrorOptions) {
    super(`The awaited spans did not arrive within ${timeoutMs} ms. Arrived so far:\n${seen}`, options);
    this.timeoutMs = timeoutMs;
  }
}

/** `describe` says what has arrived, for the error of a wait that ended in vain. */
export function createArrivals(describe: () => string): Arrivals {
  const waiters = new Set<() => void>();
  const waitFor = <T>(ask: () => T | Nothing, { timeoutMs }: WaitOptions) =>
    new Promise<T>((resolve, reject) => {
      const end = () => {
        clearTimeout(timer);
        waiters.delete(attempt);
      };
      const attempt = () => {
        try {
          const answer = ask();
          if (answer === undefined || answer === null || answer === false) return;
          end();
          resolve(answer);
        } catch (error) {
          end();
          reject(error);
        }
      };
      const timer = setTimeout(() => {
        end();
        reject(new AwaitedSpansMissingError(timeoutMs, describe()));
      }, timeoutMs);
      waiters.add(attempt);
      attempt();
    });
  return {
    waitFor,
    notify: () => {
      for (const attempt of [...waiters]) attempt();
    },
  };
}
