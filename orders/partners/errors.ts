import { ThroughlineError } from '../../shared/index.ts';

/** The partner did not do it now; it may later. */
export class PartnerUnavailableError extends ThroughlineError {
  override readonly name = 'PartnerUnavailableError';
  readonly code = 'PARTNER_UNAVAILABLE';
  override readonly retryable = true;
  readonly partner: string;
  /** The partner's own wish, from `Retry-After`; obeyed by sagas and workers. */
  readonly retryAfterMs: number | undefined;
  /** `unknown`: it may have happened, and the answer was lost. `none`: nothing reached the partner. */
  readonly effect: 'unknown' | 'none';

  constructor(
    partner: string,
    title: string,
    options: ErrorOptions & { readonly retryAfterMs?: number; readonly effect?: 'unknown' | 'none' } = {},
  ) {
    super(`${partner}: ${title}`, options);
    this.partner = partner;
    this.retryAfterMs = options.retryAfterMs;
    this.effect = options.effect ?? 'unknown';
  }
}

/** The partner will never do it, and has done nothing. */
export class PartnerRefusedError extends ThroughlineError {
  override readonly name = 'PartnerRefusedError';
  readonly code = 'PARTNER_REFUSED';
  readonly effect = 'none';
  readonly partner: string;
  readonly status: number;

  constructor(partner: string, status: number, title: string) {
    super(`${partner}: ${title}`);
    this.partner = partner;
    this.status = status;
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
