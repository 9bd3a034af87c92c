import { backoffMs } from '../../shared/index.ts';
import { inDoubt, PartnerUnavailableError } from './errors.ts';

export interface AttemptsOptions {
  readonly maxAttempts: number;
  readonly signal: AbortSignal | undefined;
  /** Told before each wait. */
  readonly onRetry: (attempt: number, waitMs: number, error: PartnerUnavailableError) => void;
}

const BACKOFF = { maxAttempts: 3, minBackoffMs: 50, maxBackoffMs: 1_000 };
/** A longer wish of the partner's is for whoever can wait without holding anything: the saga, the worker. */
const LONGEST_WAIT_MS = 2_000;

/**
 * Attempts the same call until it succeeds, is refused, or nothing is to be gained by staying here.
 *
 * Errors: the last attempt's. Had an earlier attempt perhaps its effect, the last one's error says so too, even though it
 * had none itself: a refusal after a lost answer is no proof that nothing happened. The signal's reason.
 */
export async function withAttempts<T>(
  { maxAttempts, signal, onRetry }: AttemptsOptions,
  work: (attempt: number) => Promise<T>,
): Promise<T> {
  let isInDoubt = false;
  for (let attempt = 1; ; attempt++) {
    try {
      return await work(attempt);
    } catch (thrown) {
      const error: unknown = isInDoubt ? inDoubt(thrown) : thrown;
      if (!(error instanceof PartnerUnavailableError)) throw error;
      const waitMs = error.retryAfterMs ?? backoffMs(attempt, BACKOFF);
      // While the circuit is open staying here would only hold up the caller.
      if (error.reason === 'circuit-open' || attempt >= maxAttempts || waitMs > LONGEST_WAIT_MS) throw error;
      isInDoubt = error.effect !== 'none';
      onRetry(attempt, waitMs, error);
      await pause(waitMs, signal);
    }
  }
}

/** Errors: the signal's reason. */
function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done, { once: true });
    function done() {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      if (signal?.aborted) reject(signal.reason);
      else resolve();
    }
  });
}
