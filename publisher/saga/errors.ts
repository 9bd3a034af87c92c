import { ThroughlineError } from '../../shared/errors.ts';

/** A step or compensation took longer than it may; whether it happened is not known. */
export class StepTimeoutError extends ThroughlineError {
  override readonly name = 'StepTimeoutError';
  readonly code = 'STEP_TIMEOUT';
  override readonly retryable = true;
  readonly step: string;
  readonly timeoutMs: number;

  constructor(step: string, timeoutMs: number) {
    super(`step ${step} took longer than ${timeoutMs} ms`);
    this.step = step;
    this.timeoutMs = timeoutMs;
  }
}

/** The signal that a step waited for did not come in time. */
export class SignalTimeoutError extends ThroughlineError {
  override readonly name = 'SignalTimeoutError';
  readonly code = 'SIGNAL_TIMEOUT';

  constructor(step: string, signal: string) {
    super(`step ${step}: the signal "${signal}" did not come in time`);
  }
}

/** No worker sent the result of a step's job in time. */
export class JobTimeoutError extends ThroughlineError {
  override readonly name = 'JobTimeoutError';
  readonly code = 'JOB_TIMEOUT';

  constructor(step: string, jobId: string) {
    super(`step ${step}: no worker finished job ${jobId} in time`);
  }
}

/** What a worker sent back does not fit the step's result schema. */
export class JobResultError extends ThroughlineError {
  override readonly name = 'JobResultError';
  readonly code = 'JOB_RESULT_INVALID';
}

/** A step happened, and what it returned cannot be stored. */
export class ResultNotJsonError extends ThroughlineError {
  override readonly name = 'ResultNotJsonError';
  readonly code = 'RESULT_NOT_JSON';

  constructor(cause: unknown) {
    super('what the step returned cannot be written as JSON', { cause });
  }
}

/** The process that ran an attempt died again and again. */
export class ProcessLostError extends ThroughlineError {
  override readonly name = 'ProcessLostError';
  readonly code = 'PROCESS_LOST';

  constructor(step: string, times: number) {
    super(`the process died ${times} times while it was at step ${step}`);
  }
}

/** Another process works on the saga now. */
export class SagaLostError extends ThroughlineError {
  override readonly name = 'SagaLostError';
  readonly code = 'SAGA_LOST';

  constructor(sagaId: string) {
    super(`saga ${sagaId} is run by another process now`);
  }
}

/** The engine is stopping; another process goes on. */
export class EngineStoppingError extends ThroughlineError {
  override readonly name = 'EngineStoppingError';
  readonly code = 'ENGINE_STOPPING';

  constructor() {
    super('the saga engine is stopping');
  }
}

/** There is no such saga. */
export class UnknownSagaError extends ThroughlineError {
  override readonly name = 'UnknownSagaError';
  readonly code = 'SAGA_UNKNOWN';

  constructor(sagaId: string) {
    super(`there is no saga ${sagaId}`);
  }
}

/** A saga whose definition, or that version of it, this process was not given. */
export class UnknownDefinitionError extends ThroughlineError {
  override readonly name = 'UnknownDefinitionError';
  readonly code = 'SAGA_DEFINITION_UNKNOWN';

  constructor(name: string, version: number) {
    super(`this process knows no saga "${name}" version ${version}`);
  }
}

/** The input of a saga, or the payload of a signal, does not fit its schema; `issues` name the fields. */
export class SagaInputError extends ThroughlineError {
  override readonly name = 'SagaInputError';
  readonly code = 'SAGA_INPUT_INVALID';
  readonly issues: readonly string[];

  constructor(of: string, issues: readonly string[]) {
    super(`${of}: ${issues.join('; ')}`);
    this.issues = issues;
  }
}

/** The saga waits for no signal of that name. */
export class UnknownSignalError extends ThroughlineError {
  override readonly name = 'UnknownSignalError';
  readonly code = 'SIGNAL_UNKNOWN';

  constructor(saga: string, signal: string, known: readonly string[]) {
    super(`saga "${saga}" has no signal "${signal}"; it knows ${known.join(', ') || 'none'}`);
  }
}
