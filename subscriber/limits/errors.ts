import { ThroughlineError } from '../../shared/errors.ts';

/** A job that waits for others to end, or for its turn: as many run, or were begun, as may. */
export class LimitedError extends ThroughlineError {
  override readonly name = 'LimitedError';
  readonly code = 'LIMITED';
  override readonly retryable = true;
  readonly limit: string;
  /** Empty: the limit has no keys. */
  readonly key: string;

  constructor(limit: string, key: string) {
    super(`the limit ${limit} is reached${key && ` for ${key}`}`);
    this.limit = limit;
    this.key = key;
  }
}

/** A limit's key cannot be told from the job: it is given up, like one whose payload does not fit. */
export class LimitKeyError extends ThroughlineError {
  override readonly name = 'LimitKeyError';
  readonly code = 'LIMIT_KEY';
  override readonly retryable = false;

  constructor(limit: string, problem: string, options?: ErrorOptions) {
    super(`key of the limit ${limit}: ${problem}`, options);
  }
}

/** A limit that no worker has declared. */
export class UnknownLimitError extends ThroughlineError {
  override readonly name = 'UnknownLimitError';
  readonly code = 'LIMIT_UNKNOWN';

  constructor(limit: string) {
    super(`there is no limit ${limit}`);
  }
}
