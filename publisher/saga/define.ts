import type { z } from 'zod';
import { ThroughlineError } from '../../shared/errors.ts';
import type { Job } from '../../shared/job/define.ts';
import { MAX_BACKOFF_MS, type RetryPolicy } from '../../shared/job/retry.ts';
import { MAX_TIMER_MS } from '../../shared/max-timer.ts';
import type { Transaction } from '../../shared/storage/database.ts';
import type { Skip } from './skip.ts';
import type { Suspension } from './suspend.ts';

/** What a step gets. */
export interface StepContext<Input, Results> {
  readonly sagaId: string;
  readonly orderKey: string | undefined;
  readonly input: Input;
  /** What the steps before this one returned. */
  readonly results: Results;
  /** `{sagaId}/{step}`: the same in every attempt and after a takeover. Give it to whatever has an effect. */
  readonly idempotencyKey: string;
  /** From 1. */
  readonly attempt: number;
  /** Fires on the step's time-out, on shutdown, and when this process lost the saga. */
  readonly signal: AbortSignal;
}

/** What a compensation gets: the step's own input, because nobody may know whether the step happened. */
export interface CompensationContext<Input, Results, Result> extends StepContext<Input, Results> {
  /** Undefined: the step may have happened, and its answer was lost. */
  readonly result: Result | undefined;
  /** The step's own idempotency key, for partners that are asked to undo the call that bore it. */
  readonly undoes: string;
  /** Why the saga is undone. */
  readonly failure: SagaFailure;
}

export interface SagaFailure {
  readonly step: string;
  /** A stable code, as `error.type`. */
  readonly type: string;
  readonly message: string;
}

/** How often and how long a step or a compensation is tried. */
export interface AttemptPolicy {
  /** An attempt that takes longer is aborted and counts as one that may have happened, in ms. Default 30_000. */
  readonly timeoutMs?: number;
  /** Steps: default 4 attempts, backoff from 200 ms to 10 s. Compensations: 8 attempts, from 500 ms to 60 s. */
  readonly retry?: Partial<RetryPolicy>;
  /** Which errors no further attempt can help. Default: those whose `retryable` is false. */
  readonly isFinal?: (error: unknown) => boolean;
}

/** A compensation: a function, a function in the checkpoint's transaction, a job for the worker, or a reason why there is none. */
export type Compensation<Input, Results, Result> =
  | Skip
  | ((context: CompensationContext<Input, Results, Result>) => Promise<void>)
  | ({
      readonly run: (context: CompensationContext<Input, Results, Result>) => Promise<void>;
    } & AttemptPolicy)
  | ({
      /** Commits with the record that it happened. */
      readonly transaction: (
        tx: Transaction,
        context: CompensationContext<Input, Results, Result>,
      ) => Promise<void>;
    } & AttemptPolicy)
  | {
      readonly job: Job;
      readonly payload: (context: Omit<CompensationContext<Input, Results, Result>, 'signal'>) => unknown;
      /** How long the worker's result is awaited, in ms. Default 3_600_000. */
      readonly timeoutMs?: number;
    };

/** A step that is a function here: may call partners, and may suspend. */
export interface RunStep<Input, Results, Result, Signal extends z.ZodType = z.ZodType, Data = unknown>
  extends AttemptPolicy {
  /** May run again after a crash, with the same idempotency key. `suspend(…)` waits for a signal. */
  readonly run: (context: StepContext<Input, Results>) => Promise<Result | Suspension<Data>>;
  /** What the saga is resumed by, when `run` suspends. */
  readonly signal?: {
    readonly name: string;
    readonly payload: Signal;
    readonly resume: (
      context: StepContext<Input, Results>,
      payload: z.output<Signal>,
      data: Data,
    ) => Promise<Result>;
  };
  readonly compensate: Compensation<Input, Results, Result>;
}

/** A step that is a database effect: it commits together with the record that it happened, so it happens once. */
export interface TransactionStep<Input, Results, Result> extends AttemptPolicy {
  readonly transaction: (tx: Transaction, context: StepContext<Input, Results>) => Promise<Result>;
  readonly compensate: Compensation<Input, Results, Result>;
}

/** A step that a worker runs: dispatched through the outbox, its result comes back as a message. */
export interface JobStep<Input, Results, Payload extends z.ZodType, Result extends z.ZodType> {
  readonly job: Job<Payload>;
  readonly payload: (context: Omit<StepContext<Input, Results>, 'signal'>) => z.input<Payload>;
  /** Checks what the worker sends back. */
  readonly result: Result;
  /** After this the job is cancelled and counts as one that may have happened, in ms. Default 3_600_000. */
  readonly timeoutMs?: number;
  readonly compensate: Compensation<Input, Results, z.output<Result>>;
}

/** A step of any kind, as the engine sees it. */
export interface Step {
  readonly name: string;
  readonly run?: RunStep<unknown, unknown, unknown>['run'];
  readonly signal?: NonNullable<RunStep<unknown, unknown, unknown>['signal']>;
  readonly transaction?: TransactionStep<unknown, unknown, unknown>['transaction'];
  readonly job?: Job;
  readonly payload?: JobStep<unknown, unknown, z.ZodType, z.ZodType>['payload'];
  readonly result?: z.ZodType;
  readonly timeoutMs: number;
  readonly retry: RetryPolicy;
  readonly isFinal: ((error: unknown) => boolean) | undefined;
  readonly compensation: CompensationStep;
}

export type CompensationStep =
  | { readonly kind: 'skip'; readonly reason: string }
  | {
      readonly kind: 'run';
      readonly run?: (context: CompensationContext<unknown, unknown, unknown>) => Promise<void>;
      readonly transaction?: (
        tx: Transaction,
        context: CompensationContext<unknown, unknown, unknown>,
      ) => Promise<void>;
      readonly timeoutMs: number;
      readonly retry: RetryPolicy;
      readonly isFinal: ((error: unknown) => boolean) | undefined;
    }
  | {
      readonly kind: 'job';
      readonly job: Job;
      readonly payload: (context: Omit<CompensationContext<unknown, unknown, unknown>, 'signal'>) => unknown;
      readonly timeoutMs: number;
    };

/** A saga's definition: its steps in order, each with what undoes it. */
export interface Saga<Input extends z.ZodType = z.ZodType, Results = unknown> {
  readonly name: string;
  /** From 1; raised when steps change. Sagas under way finish under the version that they were started with. */
  readonly version: number;
  readonly input: Input;
  readonly steps: readonly Step[];
  /** Only a type: what every step returns, by name. */
  readonly results?: Results;
}

type With<Results, Name extends string, Result> = Results & { readonly [K in Name]: Result };

export interface SagaBuilder<Input extends z.ZodType, Results> {
  step<Name extends string, Result, Signal extends z.ZodType = z.ZodType, Data = unknown>(
    name: Name,
    step: RunStep<z.output<Input>, Results, Result, Signal, Data>,
  ): SagaBuilder<Input, With<Results, Name, Result>>;
  transaction<Name extends string, Result>(
    name: Name,
    step: TransactionStep<z.output<Input>, Results, Result>,
  ): SagaBuilder<Input, With<Results, Name, Result>>;
  job<Name extends string, Payload extends z.ZodType, Result extends z.ZodType>(
    name: Name,
    step: JobStep<z.output<Input>, Results, Payload, Result>,
  ): SagaBuilder<Input, With<Results, Name, z.output<Result>>>;
  /** Errors: SagaDefinitionError with everything that makes no sense. */
  build(): Saga<Input, Results>;
}

/** A saga that cannot work as it is defined. */
export class SagaDefinitionError extends ThroughlineError {
  override readonly name = 'SagaDefinitionError';
  readonly code = 'SAGA_DEFINITION';
}

const NAME = /^[a-z][a-z0-9-]*(\.[a-z0-9-]+)*$/;
const STEP_RETRY: RetryPolicy = { maxAttempts: 4, minBackoffMs: 200, maxBackoffMs: 10_000 };
const COMPENSATION_RETRY: RetryPolicy = { maxAttempts: 8, minBackoffMs: 500, maxBackoffMs: 60_000 };
const STEP_TIMEOUT_MS = 30_000;
const JOB_TIMEOUT_MS = 3_600_000;

/**
 * Begins a definition: `defineSaga({ name, version, input }).step(…).transaction(…).job(…).build()`.
 *
 * Each step's result type is known to the steps after it and to its own compensation.
 */
export function defineSaga<Input extends z.ZodType>(definition: {
  readonly name: string;
  readonly version: number;
  readonly input: Input;
}): SagaBuilder<Input, unknown> {
  const steps: Step[] = [];
  // The builder collects; its type parameters, not its fields, hold what each step may see.
  const builder = {
    step: (name: string, { compensate, ...step }: RunStep<unknown, unknown, unknown>) =>
      add(name, step, compensate),
    transaction: (name: string, { compensate, ...step }: TransactionStep<unknown, unknown, unknown>) =>
      add(name, step, compensate),
    job: (name: string, { compensate, ...step }: JobStep<unknown, unknown, z.ZodType, z.ZodType>) =>
      add(name, { ...step, timeoutMs: step.timeoutMs ?? JOB_TIMEOUT_MS }, compensate),
    build() {
      const problems = [...sagaProblems(definition, steps), ...steps.flatMap(stepProblems)];
      if (problems.length > 0)
        throw new SagaDefinitionError(`saga "${definition.name}": ${problems.join('; ')}`);
      return { ...definition, steps: [...steps] };
    },
  };
  function add(name: string, step: AttemptPolicy, compensate: Compensation<unknown, unknown, unknown>) {
    steps.push({
      ...step,
      name,
      timeoutMs: step.timeoutMs ?? STEP_TIMEOUT_MS,
      retry: { ...STEP_RETRY, ...step.retry },
      isFinal: step.isFinal,
      compensation: compensationStep(compensate),
    });
    return builder;
  }
  return builder as unknown as SagaBuilder<Input, unknown>;
}

function compensationStep(compensate: Compensation<unknown, unknown, unknown>): CompensationStep {
  const defaults = { timeoutMs: STEP_TIMEOUT_MS, retry: COMPENSATION_RETRY, isFinal: undefined };
  if (typeof compensate === 'function') return { kind: 'run', run: compensate, ...defaults };
  if ('skip' in compensate) return { kind: 'skip', reason: compensate.skip };
  if ('job' in compensate) {
    return { kind: 'job', ...compensate, timeoutMs: compensate.timeoutMs ?? JOB_TIMEOUT_MS };
  }
  const { retry, timeoutMs = STEP_TIMEOUT_MS, isFinal, ...work } = compensate;
  return { kind: 'run', ...work, timeoutMs, isFinal, retry: { ...COMPENSATION_RETRY, ...retry } };
}

function sagaProblems(
  { name, version }: { readonly name: string; readonly version: number },
  steps: readonly Step[],
): string[] {
  const names = steps.map((step) => step.name);
  const signals = steps.flatMap(({ signal }) => signal?.name ?? []);
  return [
    !NAME.test(name) && 'name: expected lower-case words joined by dashes, like "workspace-card-order"',
    !(Number.isInteger(version) && version >= 1) && `version: expected 1, 2, 3 …, got ${version}`,
    steps.length === 0 && 'steps: expected at least one',
    ...repeated(names).map((twice) => `step "${twice}": the name is used twice`),
    ...repeated(signals).map((twice) => `signal "${twice}": two steps wait for it`),
  ].filter((problem) => problem !== false);
}

function stepProblems({ name, timeoutMs, retry, compensation }: Step): string[] {
  return [
    !NAME.test(name) && 'expected lower-case words joined by dashes as its name',
    !isTimeout(timeoutMs) && `timeoutMs: expected more than 0, at most ${MAX_TIMER_MS}, got ${timeoutMs}`,
    ...retryProblems(retry, 'retry'),
    ...(compensation.kind === 'skip' ? [!compensation.reason && 'skip: expected a reason'] : []),
    ...(compensation.kind === 'run' ? retryProblems(compensation.retry, 'compensate.retry') : []),
    compensation.kind !== 'skip' &&
      !isTimeout(compensation.timeoutMs) &&
      `compensate.timeoutMs: expected more than 0, at most ${MAX_TIMER_MS}, got ${compensation.timeoutMs}`,
  ]
    .filter((problem) => problem !== false)
    .map((problem) => `step "${name}": ${problem}`);
}

function retryProblems({ maxAttempts, minBackoffMs, maxBackoffMs }: RetryPolicy, field: string): string[] {
  return [
    !(Number.isInteger(maxAttempts) && maxAttempts >= 1) &&
      `${field}.maxAttempts: expected 1 or more, got ${maxAttempts}`,
    !(minBackoffMs >= 0) && `${field}.minBackoffMs: expected 0 or more, got ${minBackoffMs}`,
    !(maxBackoffMs >= minBackoffMs && maxBackoffMs <= MAX_BACKOFF_MS) &&
      `${field}.maxBackoffMs: expected minBackoffMs to ${MAX_BACKOFF_MS}, got ${maxBackoffMs}`,
  ].filter((problem) => problem !== false);
}

function isTimeout(ms: number): boolean {
  return ms > 0 && ms <= MAX_TIMER_MS;
}

function repeated(names: readonly string[]): string[] {
  return [...new Set(names.filter((name, index) => names.indexOf(name) !== index))];
}
