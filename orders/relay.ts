import { ConfigError } from '../shared/index.ts';
import { JOB_TIMEOUTS_MS } from './saga.ts';

/** A job and its result may both be forgotten; each is sent again after the time, and up to a quarter of it until the next look. */
const SHARE = 4;

/**
 * Checks that a job which the broker forgot is sent again well before a saga gives its step up, and undoes everything.
 *
 * Errors: ConfigError.
 */
export function assertResendsInTime(resendAfterMs: number): void {
  const problems = Object.entries(JOB_TIMEOUTS_MS)
    .filter(([, timeoutMs]) => resendAfterMs > timeoutMs / SHARE)
    .map(
      ([job, timeoutMs]) =>
        `THROUGHLINE_RESEND_AFTER_MS: expected at most ${timeoutMs / SHARE}, a quarter of the ${timeoutMs} ms after which "${job}" is given up, got ${resendAfterMs}`,
    );
  if (problems.length > 0) throw new ConfigError(problems);
}
