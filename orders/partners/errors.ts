import { ThroughlineError } from '../../shared/index.ts';

/** Whether the partner may have done what it was asked for. `none`: surely not. */
export type Effect = 'unknown' | 'none';

/** Why there is no result: the partner answered 5xx or 429, or nothing, or is not asked for a while. */
export type UnavailableReason = 'error' | 'rate-limit' | 'no-answer' | 'circuit-open';

export interface UnavailableOptions extends ErrorOptions {
  readonly reason: UnavailableReason;
  readonly retryAfterMs?: number | undefined;
  /** Default `unknown`. */
  readonly effect?: Effect;
}

/** The partner did not do it now; it may later. */
export class PartnerUnavailableError extends ThroughlineError {
  override readonly name = 'PartnerUnavailableError';
  readonly code = 'PARTNER_UNAVAILABLE';
  override readonly retryable = true;
  readonly partner: string;
  readonly reason: UnavailableReason;
  /** The partner's own wish, from `Retry-After`; obeyed by sagas and workers. */
  readonly retryAfterMs: number | undefined;
  /** `unknown`: it may have happened, and the answer was lost. `none`: nothing reached the partner. */
  readonly effect: Effect;
  readonly #title: string;

  constructor(partner: string, title: string, options: UnavailableOptions) {
    super(`${partner}: ${title}`, options);
    this.partner = partner;
    this.reason = options.reason;
    this.retryAfterMs = options.retryAfterMs;
    this.effect = options.effect ?? 'unknown';
    this.#title = title;
  }

  /** The same, with its effect unknown. */
  inDoubt(): PartnerUnavailableError {
    const { cause, reason, retryAfterMs } = this;
    return new PartnerUnavailableError(this.partner, this.#title, { cause, reason, retryAfterMs });
  }
}

/** The partner will never do it. */
export class PartnerRefusedError extends ThroughlineError {
  override readonly name = 'PartnerRefusedError';
  readonly code = 'PARTNER_REFUSED';
  readonly partner: string;
  readonly status: number;
  /** What the partner's problem details say. */
  readonly title: string;
  /** `none`, unless an earlier attempt of the same call got no answer. */
  readonly effect: Effect;

  constructor(partner: string, status: number, title: string, effect: Effect = 'none') {
    super(`${partner}: ${title}`);
    this.partner = partner;
    this.status = status;
    this.title = title;
    this.effect = effect;
  }

  /** The same, with its effect unknown. */
  inDoubt(): PartnerRefusedError {
    return new PartnerRefusedError(this.partner, this.status, this.title, 'unknown');
  }
}

/** The partner did it, and answered something that nobody understands. */
export class PartnerAnswerError extends ThroughlineError {
  override readonly name = 'PartnerAnswerError';
  readonly code = 'PARTNER_ANSWER';
  readonly partner: string;

  constructor(partner: string, effect: string, issues: string) {
    super(`${partner}/${effect} answered: ${issues}`);
    this.partner = partner;
  }
}

/**
 * The same error, when something else that is to be undone with it may have happened before.
 *
 * Shape: errors that are none of a partner's claim nothing, and stay as they are.
 */
export function inDoubt(error: unknown): unknown {
  if (error instanceof PartnerUnavailableError || error instanceof PartnerRefusedError)
    return error.inDoubt();
  return error;
}
