import { decodePayload } from '../../shared/job/envelope.ts';
import { OptionsError } from '../../shared/options.ts';
import { isStorable } from '../../shared/storable.ts';
import type { Delivery } from '../delivery.ts';
import { LimitKeyError } from './errors.ts';

/** What a limit's key may depend on. */
export interface LimitedFacts<Payload> {
  readonly jobId: string;
  readonly orderKey: string | undefined;
  readonly attributes: Readonly<Record<string, string>>;
  /** Read and checked when it is asked for. */
  readonly payload: Payload;
}

/** So many jobs run at once, of all workers on this database; with `keyOf` so many of each key. */
export interface ConcurrencyLimit<Payload> {
  /** At most 200 characters. Jobs whose limits have one name share it; numbers that are declared last decide. */
  readonly name: string;
  readonly maxRunning: number;
  /** At most 1,024 characters; undefined: this job is not limited. Default: all jobs together. */
  readonly keyOf?: (facts: LimitedFacts<Payload>) => string | undefined;
}

/** So many jobs are begun in a second, by all workers on this database: see `createSharedRate`. */
export interface RateLimit {
  readonly name: string;
  readonly perSecond: number;
  /** What may be begun at once after a rest. Default: what may be begun in a second, at least 1. */
  readonly burst?: number;
}

export type JobLimit<Payload = unknown> = ConcurrencyLimit<Payload> | RateLimit;

const MAX_NAME_CHARS = 200;
const MAX_KEY_CHARS = 1_024;
const MOST_RUNNING = 1_000_000;

/** Errors: OptionsError with every problem of a job's limits. */
export function checkLimits(jobType: string, limits: readonly JobLimit<never>[]): void {
  const problems = limits.flatMap((limit) =>
    limitProblems(limit).map((problem) => `${limit.name}: ${problem}`),
  );
  const names = limits.map(({ name }) => name);
  if (new Set(names).size < names.length) problems.push('expected each name once');
  if (problems.length > 0) throw new OptionsError(`limits of ${jobType}`, problems);
}

function limitProblems(limit: JobLimit<never>): string[] {
  const { name, maxRunning, perSecond, burst, keyOf } = limit as Partial<ConcurrencyLimit<never> & RateLimit>;
  return [
    (!name || name.length > MAX_NAME_CHARS || !isStorable(name)) &&
      `name: expected 1 to ${MAX_NAME_CHARS} characters`,
    (maxRunning === undefined) === (perSecond === undefined) && 'expected maxRunning or perSecond',
    maxRunning !== undefined &&
      !(Number.isInteger(maxRunning) && maxRunning >= 1 && maxRunning <= MOST_RUNNING) &&
      `maxRunning: expected a whole number from 1 to ${MOST_RUNNING}, got ${maxRunning}`,
    perSecond !== undefined &&
      !(perSecond >= 0.000_1 && perSecond <= MOST_RUNNING) &&
      `perSecond: expected a number from 0.0001 to ${MOST_RUNNING}, got ${perSecond}`,
    burst !== undefined && !(burst >= 1) && `burst: expected a number of at least 1, got ${burst}`,
    perSecond !== undefined && keyOf !== undefined && 'keyOf: expected none, a rate has no keys',
    maxRunning !== undefined && burst !== undefined && 'burst: expected none without perSecond',
  ].filter((problem) => problem !== false);
}

export function isRateLimit(limit: JobLimit): limit is RateLimit {
  return 'perSecond' in limit;
}

/** The key of a delivery; undefined: it is not limited. Errors: LimitKeyError, whatever the function throws. */
export function keyOfDelivery(
  { name, keyOf }: ConcurrencyLimit<unknown>,
  { jobId, orderKey, message, registration }: Delivery,
): string | undefined {
  if (!keyOf) return '';
  let key: unknown;
  try {
    key = keyOf({
      jobId,
      orderKey,
      attributes: message.attributes,
      get payload() {
        return registration && decodePayload(registration.job, message.data);
      },
    });
  } catch (cause) {
    throw new LimitKeyError(name, 'the function threw', { cause });
  }
  if (key === undefined) return undefined;
  if (typeof key === 'string' && key.length <= MAX_KEY_CHARS && isStorable(key)) return key;
  throw new LimitKeyError(name, `expected text of at most ${MAX_KEY_CHARS} characters`);
}
