import { ThroughlineError } from '../shared/errors.ts';
import { describeTarget, type Fence } from '../shared/fence/fence.ts';

/** A message of a type or version that this worker has no handler for. */
export class UnknownJobError extends ThroughlineError {
  override readonly name = 'UnknownJobError';
  readonly code = 'JOB_UNKNOWN';
  readonly jobType: string | undefined;

  constructor(jobType: string | undefined, known: readonly string[]) {
    const got =
      jobType === undefined ? 'the message has no "ce-type" attribute' : `no handler for "${jobType}"`;
    super(`${got}; this worker handles ${known.join(', ') || 'nothing'}`);
    this.jobType = jobType;
  }
}

/** The handler took longer than the job's time-out. Whether its effect happened is not known. */
export class HandlerTimeoutError extends ThroughlineError {
  override readonly name = 'HandlerTimeoutError';
  readonly code = 'HANDLER_TIMEOUT';
  override readonly retryable = true;
  readonly timeoutMs: number;

  constructor(jobType: string, timeoutMs: number) {
    super(`the handler of ${jobType} did not finish within ${timeoutMs} ms`);
    this.timeoutMs = timeoutMs;
  }
}

/** A handler that resolved with something else than an outcome. */
export class HandlerContractError extends ThroughlineError {
  override readonly name = 'HandlerContractError';
  readonly code = 'HANDLER_CONTRACT';

  constructor(jobType: string, returned: unknown) {
    super(
      `the handler of ${jobType} returned ${describe(returned)}; return done(), retry(…) or deadLetter(…)`,
    );
  }
}

/** The worker is stopping and the grace time is over. */
export class WorkerStoppingError extends ThroughlineError {
  override readonly name = 'WorkerStoppingError';
  readonly code = 'WORKER_STOPPING';
  override readonly retryable = true;

  constructor() {
    super('the worker is stopping');
  }
}

/** Another delivery of the job may be running: what this one did was rolled back. */
export class ClaimLostError extends ThroughlineError {
  override readonly name = 'ClaimLostError';
  readonly code = 'CLAIM_LOST';
  override readonly retryable = true;

  constructor(jobId: string) {
    super(`the claim on ${jobId} was lost`);
  }
}

/** The job's worker died with it in hand, again and again. */
export class WorkerLostError extends ThroughlineError {
  override readonly name = 'WorkerLostError';
  readonly code = 'WORKER_LOST';

  constructor(jobType: string, times: number) {
    super(`the worker died ${times} times while it ran ${jobType}`);
  }
}

/** A handler returned `done(effects)`, and the worker has no inbox to commit them with. */
export class InboxMissingError extends ThroughlineError {
  override readonly name = 'InboxMissingError';
  readonly code = 'INBOX_MISSING';

  constructor(jobType: string) {
    super(`the handler of ${jobType} returned effects; give the worker an inbox to commit them with`);
  }
}

/** A fence stops the job: nothing outside may be touched any more. The worker sees to the rest. */
export class FencedError extends ThroughlineError {
  override readonly name = 'FencedError';
  readonly code = 'FENCED';
  override readonly retryable = true;
  readonly fence: Fence;

  constructor(fence: Fence) {
    const { id, action, target, actor, reason } = fence;
    const what = action === 'cancel' ? 'cancels' : 'pauses';
    super(`fence ${id} (${describeTarget(target)}) ${what} the job, by ${actor}: ${reason}`);
    this.fence = fence;
  }
}

/** The fences could not be read for too long: whether one stops the job is not known. */
export class FencesUnknownError extends ThroughlineError {
  override readonly name = 'FencesUnknownError';
  readonly code = 'FENCES_UNKNOWN';
  override readonly retryable = true;

  constructor(trustMs: number) {
    super(`the fences were not read for more than ${trustMs} ms, and may have changed`);
  }
}

function describe(value: unknown): string {
  return value === undefined ? 'nothing' : `a value of type ${typeof value}`;
}
