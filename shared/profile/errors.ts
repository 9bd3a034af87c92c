import { ThroughlineError } from '../errors.ts';

/** V8 has one profiler, and a process takes one profile at a time. */
export class ProfileUnderWayError extends ThroughlineError {
  override readonly name = 'ProfileUnderWayError';
  readonly code = 'PROFILE_UNDER_WAY';
  override readonly retryable = true;

  constructor() {
    super('a profile of this process is being taken already; wait until it is done');
  }
}

/** The native profiler cannot be loaded here. */
export class ProfilerMissingError extends ThroughlineError {
  override readonly name = 'ProfilerMissingError';
  readonly code = 'PROFILER_MISSING';

  constructor(cause: unknown) {
    const [why] = (cause instanceof Error ? cause.message : String(cause)).split('\n');
    super(
      `@datadog/pprof cannot be loaded on Node ${process.versions.node} (${process.platform}-${process.arch}), so no profile can be taken: ${why}`,
      { cause },
    );
  }
}

/** Bytes that are no pprof profile. */
export class NotAProfileError extends ThroughlineError {
  override readonly name = 'NotAProfileError';
  readonly code = 'NOT_A_PROFILE';

  constructor(why: string, options?: ErrorOptions) {
    super(`no pprof profile: ${why}`, options);
  }
}
