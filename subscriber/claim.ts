import { ThroughlineError } from '../shared/errors.ts';

/** A job that wants to be run. */
export interface JobKey {
  readonly jobId: string;
  readonly jobType: string;
  /** Kept for operators: whose job it is, and the trace context that its message brought. */
  readonly orderKey?: string | undefined;
  readonly traceparent?: string | undefined;
}

/** A delivery's right to run. */
export interface Claim {
  readonly consumer: string;
  readonly jobId: string;
  /** Runs of the job whose end is known, plus this one: from 1. */
  readonly attempt: number;
  /** How often a worker died with this job in hand. */
  readonly lost: number;
  /** How often the job was taken back from death, which began its attempts afresh. */
  readonly redrives: number;
}

/** The run that ended a job. Times in ms since the epoch. */
export interface FinishedRun {
  readonly attempt: number;
  readonly redrives: number;
  readonly startMs: number;
  readonly endMs: number;
}

/** Why a delivery may not run. */
export type Refusal =
  | ({ readonly kind: 'done' } & FinishedRun)
  | ({ readonly kind: 'dead'; readonly reason: string } & FinishedRun)
  | { readonly kind: 'cancelled'; readonly reason: string }
  /** Another delivery of the job runs. */
  | { readonly kind: 'held'; readonly forMs: number };

/** The end of jobs could not be recorded, because somebody else had their rows for too long: a relay that is sending, say. */
export class FinishBlockedError extends ThroughlineError {
  override readonly name = 'FinishBlockedError';
  readonly code = 'FINISH_BLOCKED';
  override readonly retryable = true;

  constructor(options?: ErrorOptions) {
    super('the end of the job could not be recorded: its rows are locked', options);
  }
}
