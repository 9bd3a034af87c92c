import { ThroughlineError } from '../../shared/errors.ts';

/** What an operator asked for makes no sense, and nothing was done; `issues` name what is wrong. */
export class DeadLetterInputError extends ThroughlineError {
  override readonly name = 'DeadLetterInputError';
  readonly code = 'DEAD_LETTER_INPUT_INVALID';
  readonly issues: readonly string[];

  constructor(of: string, issues: readonly string[]) {
    super(`${of}: ${issues.join('; ')}`);
    this.issues = issues;
  }
}

export class UnknownDeadLetterError extends ThroughlineError {
  override readonly name = 'UnknownDeadLetterError';
  readonly code = 'DEAD_LETTER_UNKNOWN';

  constructor(letterId: string) {
    super(`there is no dead letter ${letterId}`);
  }
}

/** Why a letter stays as it is. One class, so that whoever works through many can count them by `code`. */
export abstract class DeadLetterRefusedError extends ThroughlineError {
  abstract override readonly code: string;
  readonly letterId: string;
  readonly jobId: string;

  constructor({ letterId, jobId }: { readonly letterId: string; readonly jobId: string }, why: string) {
    super(`dead letter ${letterId} (job ${jobId}): ${why}`);
    this.letterId = letterId;
    this.jobId = jobId;
  }
}

/** Somebody has redriven or dropped it already. */
export class DeadLetterSettledError extends DeadLetterRefusedError {
  override readonly name = 'DeadLetterSettledError';
  override readonly code = 'DEAD_LETTER_SETTLED';
}

/** A cancelled job stays cancelled. */
export class JobCancelledError extends DeadLetterRefusedError {
  override readonly name = 'JobCancelledError';
  override readonly code = 'JOB_CANCELLED';
}

/** Another message of the job was run to its end meanwhile. */
export class JobDoneError extends DeadLetterRefusedError {
  override readonly name = 'JobDoneError';
  override readonly code = 'JOB_DONE';
}

/** A worker has the job in hand at this moment: it records the job's end, or runs another message of it. */
export class JobHeldError extends DeadLetterRefusedError {
  override readonly name = 'JobHeldError';
  override readonly code = 'JOB_HELD';
  override readonly retryable = true;
}

/** The message cannot be sent as it is: larger than Pub/Sub allows, or its job's id cannot be stored. */
export class NotSendableError extends DeadLetterRefusedError {
  override readonly name = 'NotSendableError';
  override readonly code = 'DEAD_LETTER_NOT_SENDABLE';
}
