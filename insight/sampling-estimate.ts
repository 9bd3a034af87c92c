import { ThroughlineError } from '../shared/errors.ts';

export interface SamplingLoad {
  /** Traces a second in all, without health checks. */
  readonly requestsPerSecond: number;
  /** Share in which something fails, 0 to 1: all of them are kept. */
  readonly errorShare: number;
  /** Share that is slow and does not fail, 0 to 1: all of them are kept. */
  readonly slowShare: number;
  /** Share of the rest that is kept, 0 to 1. */
  readonly keep: number;
  /** Size of one trace as it is sent, in bytes. */
  readonly traceBytes: number;
}

export interface SamplingEstimate {
  /** Traces that are kept, a second. */
  readonly tracesPerSecond: number;
  readonly byReason: { readonly error: number; readonly slow: number; readonly coin: number };
  readonly tracesPerDay: number;
  /** 10^9 bytes a day, before whatever the store compresses. */
  readonly gigabytesPerDay: number;
  /** Kept of everything, 0 to 1. */
  readonly share: number;
}

/** Names every wrong figure. */
export class SamplingLoadError extends ThroughlineError {
  override readonly name = 'SamplingLoadError';
  readonly code = 'SAMPLING_LOAD_INVALID';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('; '));
    this.problems = problems;
  }
}

const SECONDS_PER_DAY = 86_400;

/**
 * What sampling leaves to be stored: all that fails, all that is slow, and `keep` of the rest.
 *
 * Errors: SamplingLoadError.
 */
export function estimateSampling(load: SamplingLoad): SamplingEstimate {
  const problems = problemsOf(load);
  if (problems.length > 0) throw new SamplingLoadError(problems);
  const { requestsPerSecond, errorShare, slowShare, keep, traceBytes } = load;
  const byReason = {
    error: requestsPerSecond * errorShare,
    slow: requestsPerSecond * slowShare,
    coin: requestsPerSecond * (1 - errorShare - slowShare) * keep,
  };
  const tracesPerSecond = byReason.error + byReason.slow + byReason.coin;
  const tracesPerDay = tracesPerSecond * SECONDS_PER_DAY;
  return {
    tracesPerSecond,
    byReason,
    tracesPerDay,
    gigabytesPerDay: (tracesPerDay * traceBytes) / 1e9,
    share: requestsPerSecond === 0 ? 0 : tracesPerSecond / requestsPerSecond,
  };
}

function problemsOf({ requestsPerSecond, errorShare, slowShare, keep, traceBytes }: SamplingLoad): string[] {
  const problems: string[] = [];
  const isShare = (value: number) => value >= 0 && value <= 1;
  if (!(requestsPerSecond >= 0 && Number.isFinite(requestsPerSecond)))
    problems.push('requests per second: expected a number from 0 on');
  if (!isShare(errorShare)) problems.push('error rate: expected a share from 0 to 1');
  if (!isShare(slowShare)) problems.push('slow rate: expected a share from 0 to 1');
  if (!isShare(keep)) problems.push('keep: expected a share from 0 to 1');
  if (isShare(errorShare) && isShare(slowShare) && errorShare + slowShare > 1)
    problems.push('error rate and slow rate: more than 1 together; what fails and is slow counts as failed');
  if (!(traceBytes > 0 && Number.isFinite(traceBytes)))
    problems.push('trace size: expected a number above 0');
  return problems;
}
