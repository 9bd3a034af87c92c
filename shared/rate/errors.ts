import { ThroughlineError } from '../errors.ts';

/** A rate that no process has declared. */
export class UnknownRateError extends ThroughlineError {
  override readonly name = 'UnknownRateError';
  readonly code = 'RATE_UNKNOWN';
  readonly rateName: string;

  constructor(rateName: string) {
    super(`there is no rate ${rateName}`);
    this.rateName = rateName;
  }
}

/** Whoever waited for tokens of a rate, when its owner closed it. */
export class RateClosedError extends ThroughlineError {
  override readonly name = 'RateClosedError';
  readonly code = 'RATE_CLOSED';
  override readonly retryable = true;

  constructor(rateName: string) {
    super(`the rate ${rateName} was closed`);
  }
}
