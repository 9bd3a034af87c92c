import { ThroughlineError } from '../../shared/index.ts';

/** The partner did not do it now; it may later. After no answer at all the effect may have happened. */
export class PartnerUnavailableError extends ThroughlineError {
  override readonly name = 'PartnerUnavailableError';
  readonly code = 'PARTNER_UNAVAILABLE';
  override readonly retryable = true;
  readonly partner: string;
  /** The partner's own wish, from `Retry-After`; obeyed by the worker. */
  readonly retryAfterMs: number | undefined;

  constructor(
    partner: string,
    title: string,
    options: ErrorOptions & { readonly retryAfterMs?: number } = {},
  ) {
    super(`${partner}: ${title}`, options);
    this.partner = partner;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** The partner will never do it. */
export class PartnerRefusedError extends ThroughlineError {
  override readonly name = 'PartnerRefusedError';
  readonly code = 'PARTNER_REFUSED';
  readonly partner: string;
  readonly status: number;

  constructor(partner: string, status: number, title: string) {
    super(`${partner}: ${title}`);
    this.partner = partner;
    this.status = status;
  }
}
