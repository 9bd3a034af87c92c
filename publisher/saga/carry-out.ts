import { SAGA_ATTRIBUTE, SAGA_REPLY_ATTRIBUTE } from '../../shared/job/saga-result.ts';
import type { Database, Transaction } from '../../shared/storage/database.ts';
import { reservedContext } from '../../shared/trace/durable-span.ts';
import { releaseEndedSpans } from '../../shared/trace/release.ts';
import { outboxRow } from '../outbox.ts';
import type { ActiveSaga } from './active-saga.ts';
import {
  type AttemptEnd,
  asJson,
  compensationContext,
  mayHaveHappened,
  retryAtMs,
  runAttempt,
  stepContext,
  storedError,
} from './attempt.ts';
import {
  type AttemptFacts,
  endAttempt,
  type LiveAttempt,
  reserveAttempt,
  tellAttempt,
} from './attempt-spans.ts';
import { jobIdOf } from './awaited.ts';
import type { Extras } from './checkpoint.ts';
import type { Step } from './define.ts';
import { ProcessLostError, UnknownSignalError } from './errors.ts';
import type { SagaEvent } from './event.ts';
import type { Command, StepState } from './machine.ts';
import { isSuspension } from './suspend.ts';

/** How often a process may die at one place before the attempt counts as failed for good. */
const MAX_TAKEOVERS = 5;

export interface CarryOutDependencies {
  readonly database: Database;
  /** Written as `ce-source` of jobs. */
  readonly service: string;
  readonly resultTopic: string | undefined;
  /** Stores an attempt's end within its own transaction. Errors: SagaLostError. */
  readonly storeIn: (tx: Transaction, saga: ActiveSaga, event: SagaEvent) => Promise<void>;
}

/** What became of a command. */
export type CarriedOut =
  /** To be stored. */
  | { readonly kind: 'events'; readonly events: readonly SagaEvent[]; readonly extras?: Extras }
  /** Stored already, in the attempt's own transaction. */
  | { readonly kind: 'stored' }
  /** The attempt failed with this; what it means depends on whether it was us who cut it short. */
  | { readonly kind: 'failed'; readonly error: unknown; readonly event: () => SagaEvent };

export type Work = Extract<Command, { index: number }> & {
  kind: 'run' | 'resume' | 'undo' | 'dispatch' | 'dispatch-undo';
};

/** Does what the machine commands, in its span. Errors: none of the steps'; those are outcomes. */
export function carryOut(
  saga: ActiveSaga,
  command: Work,
  dependencies: CarryOutDependencies,
): Promise<CarriedOut> {
  const step = saga.definition.steps[command.index];
  const state = saga.state.steps[command.index];
  if (!step || !state) throw new RangeError(`there is no step ${command.index}`);
  const place: Place = { saga, step, state, index: command.index, dependencies };
  switch (command.kind) {
    case 'run':
      return run(place);
    case 'resume':
      return resume(place);
    case 'undo':
      return undo(place);
    case 'dispatch':
      return dispatch(place);
    case 'dispatch-undo':
      return dispatchUndo(place);
  }
}

interface Place {
  readonly saga: ActiveSaga;
  readonly step: Step;
  readonly state: StepState;
  readonly index: number;
  readonly dependencies: CarryOutDependencies;
}

async function run(place: Place): Promise<CarriedOut> {
  const { saga, step, state, index, dependencies } = place;
  const facts = { kind: 'step', step: step.name, attempt: state.attempt } as const;
  const context = (signal: AbortSignal) => stepContext(saga, index, state.attempt, signal);
  const completed = (live: LiveAttempt, result: unknown): SagaEvent => {
    const { step: name, attempt } = facts;
    return { kind: 'completed', step: name, attempt, result, ...endAttempt(live) };
  };
  const end = await runAttempt(saga, facts, step.timeoutMs, async (signal, live) => {
    deathCheck(saga, step);
    if (!step.transaction) return asResult(await step.run?.(context(signal)));
    const { transaction } = step;
    await inTransaction(dependencies, saga, signal, async (tx) => {
      const result = asJson(await transaction(tx, context(signal)));
      return () => completed(live, result);
    });
    return STORED;
  });
  if (!end.ok) return failed(place, facts, end);
  if (end.value === STORED) return { kind: 'stored' };
  if (!isSuspension(end.value)) return { kind: 'events', events: [completed(end.live, end.value)] };
  return suspended(place, facts, end.live, end.value);
}

/** What an attempt returns that has stored its own end. */
const STORED = Symbol('stored');

function asResult(value: unknown): unknown {
  return isSuspension(value) ? value : asJson(value);
}

async function inTransaction(
  { database, storeIn }: CarryOutDependencies,
  saga: ActiveSaga,
  signal: AbortSignal,
  work: (tx: Transaction) => Promise<() => SagaEvent>,
): Promise<void> {
  await database.transaction(async (tx) => {
    const event = await work(tx);
    signal.throwIfAborted(); // an attempt that was given up must not commit behind our back
    await storeIn(tx, saga, event());
  });
}

function suspended(
  { saga, step }: Place,
  facts: AttemptFacts,
  live: LiveAttempt,
  suspension: { readonly suspend: string; readonly timeoutMs: number; readonly data: unknown },
): CarriedOut {
  const { attempt } = facts;
  if (step.signal?.name !== suspension.suspend) {
    const known = step.signal ? [step.signal.name] : [];
    const error = new UnknownSignalError(saga.definition.name, suspension.suspend, known);
    return {
      kind: 'events',
      events: [
        {
          kind: 'failed',
          step: step.name,
          attempt,
          error: storedError(error),
          mayHaveHappened: true,
          ...endAttempt(live, error),
        },
      ],
    };
  }
  releaseEndedSpans(live.context); // the step's own span is told when it ends, perhaps by another process
  const atMs = Date.now();
  const event: SagaEvent = {
    kind: 'suspended',
    step: step.name,
    attempt,
    signal: suspension.suspend,
    data: asJson(suspension.data),
    deadlineMs: atMs + suspension.timeoutMs,
    span: reserveAttempt(saga, facts, live.startMs, live),
    atMs,
  };
  return { kind: 'events', events: [event] };
}

async function resume(place: Place): Promise<CarriedOut> {
  const { saga, step, state, index } = place;
  const { waiting, attempt } = state;
  const facts = { kind: 'resume', step: step.name, attempt } as const;
  const end = await runAttempt(saga, facts, step.timeoutMs, async (signal) => {
    deathCheck(saga, step);
    const payload = step.signal?.payload.parse(waiting?.signal?.payload);
    return asJson(
      await step.signal?.resume(stepContext(saga, index, attempt, signal), payload, waiting?.data),
    );
  });
  if (!end.ok) return failed(place, facts, end);
  const { waitMs } = waited(state);
  endAttempt(end.live);
  const stepFacts = { kind: 'step', step: step.name, attempt } as const;
  const span = waiting ? tellAttempt(saga, stepFacts, waiting.span, { waitMs }) : endAttempt(end.live);
  return {
    kind: 'events',
    events: [{ kind: 'completed', step: step.name, attempt, result: end.value, ...span }],
  };
}

function waited({ waiting }: StepState): { readonly waitMs: number } {
  return { waitMs: waiting?.signal ? waiting.signal.atMs - waiting.sinceMs : 0 };
}

async function undo(place: Place): Promise<CarriedOut> {
  const { saga, step, state, index, dependencies } = place;
  const { compensation } = step;
  if (compensation.kind !== 'run') throw new TypeError(`step ${step.name} is not compensated by a function`);
  const { attempt } = state.undo;
  const facts = { kind: 'compensate', step: step.name, attempt } as const;
  const context = (signal: AbortSignal) => compensationContext(saga, index, attempt, signal);
  const undone = (live: LiveAttempt): SagaEvent => {
    return { kind: 'undone', step: step.name, attempt, ...endAttempt(live) };
  };
  const end = await runAttempt(saga, facts, compensation.timeoutMs, async (signal, live) => {
    deathCheck(saga, step);
    const { transaction } = compensation;
    if (!transaction) return compensation.run?.(context(signal));
    await inTransaction(dependencies, saga, signal, async (tx) => {
      await transaction(tx, context(signal));
      return () => undone(live);
    });
    return STORED;
  });
  if (!end.ok) return failed(place, facts, end);
  return end.value === STORED ? { kind: 'stored' } : { kind: 'events', events: [undone(end.live)] };
}

/** Something at this place kills its process: it has had its chances. */
function deathCheck({ state: { takeovers } }: ActiveSaga, { name }: Step): void {
  if (takeovers >= MAX_TAKEOVERS) throw new ProcessLostError(name, takeovers);
}

function failed(place: Place, facts: AttemptFacts, end: AttemptEnd<unknown> & { ok: false }): CarriedOut {
  const { error, live } = end;
  const event = () =>
    facts.kind === 'compensate'
      ? undoFailed(place, facts, live, error)
      : stepFailed(place, facts, live, error);
  return { kind: 'failed', error, event };
}

function undoFailed(
  { step, state }: Place,
  { attempt }: AttemptFacts,
  live: LiveAttempt,
  error: unknown,
): SagaEvent {
  const { compensation } = step;
  const span = endAttempt(live, error);
  const againAtMs =
    compensation.kind === 'run' ? retryAtMs(error, state.undo.tries, compensation) : undefined;
  return {
    kind: 'undo-failed',
    step: step.name,
    attempt,
    error: storedError(error),
    ...(againAtMs !== undefined && { retryAtMs: againAtMs }),
    ...span,
  };
}

function stepFailed(
  { saga, step, state }: Place,
  facts: AttemptFacts,
  live: LiveAttempt,
  error: unknown,
): SagaEvent {
  const { attempt } = facts;
  const again = retryAtMs(error, attempt, step);
  const stored = storedError(error);
  let span = endAttempt(live, error);
  if (facts.kind === 'resume' && again === undefined && state.waiting) {
    // The resume failed for good, and with it the step, whose own span was reserved when it was suspended.
    span = tellAttempt(saga, { ...facts, kind: 'step' }, state.waiting.span, {
      ...waited(state),
      error: stored,
    });
  }
  return {
    kind: 'failed',
    step: step.name,
    attempt,
    error: stored,
    mayHaveHappened: mayHaveHappened(error),
    ...(again !== undefined && { retryAtMs: again }),
    ...span,
  };
}

async function dispatch({ saga, step, state, index, dependencies }: Place): Promise<CarriedOut> {
  const facts = { kind: 'step', step: step.name, attempt: state.attempt } as const;
  const jobId = jobIdOf(saga, step.name);
  const { payload } = step;
  const make = () => payload?.(stepContext(saga, index, state.attempt, undefined) as never);
  return dispatchJob({ saga, facts, jobId, job: step.job, timeoutMs: step.timeoutMs, make, dependencies });
}

async function dispatchUndo({ saga, step, state, index, dependencies }: Place): Promise<CarriedOut> {
  const { compensation } = step;
  if (compensation.kind !== 'job') throw new TypeError(`step ${step.name} is not compensated by a job`);
  const { attempt } = state.undo;
  const facts = { kind: 'compensate', step: step.name, attempt } as const;
  const jobId = `${jobIdOf(saga, step.name)}/undo${attempt > 1 ? `/${attempt}` : ''}`;
  const make = () => compensation.payload(compensationContext(saga, index, attempt, undefined) as never);
  const { job, timeoutMs } = compensation;
  return dispatchJob({ saga, facts, jobId, job, timeoutMs, make, dependencies });
}

interface Dispatch {
  readonly saga: ActiveSaga;
  readonly facts: AttemptFacts;
  readonly jobId: string;
  readonly job: Step['job'];
  readonly timeoutMs: number;
  readonly make: () => unknown;
  readonly dependencies: CarryOutDependencies;
}

/** Errors: none; a payload that the job's schema refuses fails the step for good. */
async function dispatchJob({
  saga,
  facts,
  jobId,
  job,
  timeoutMs,
  make,
  dependencies,
}: Dispatch): Promise<CarriedOut> {
  const startMs = Date.now();
  const span = reserveAttempt(saga, facts, startMs);
  const { step, attempt } = facts;
  try {
    if (!job) throw new TypeError(`step ${step} has no job`);
    const row = outboxRow(job, make() as never, {
      jobId,
      source: dependencies.service,
      context: reservedContext(span),
      attributes: {
        [SAGA_ATTRIBUTE]: saga.id,
        ...(dependencies.resultTopic && { [SAGA_REPLY_ATTRIBUTE]: dependencies.resultTopic }),
      },
      ...(saga.orderKey !== undefined && { orderKey: saga.orderKey }),
    });
    const undo = facts.kind === 'compensate';
    const event = {
      kind: 'dispatched',
      step,
      attempt,
      jobId,
      deadlineMs: startMs + timeoutMs,
      span,
      undo,
    } as const;
    return { kind: 'events', events: [event], extras: { jobs: [row] } };
  } catch (error) {
    const stored = storedError(error);
    const told = tellAttempt(saga, facts, span, { waitMs: 0, error: stored });
    const event: SagaEvent =
      facts.kind === 'compensate'
        ? { kind: 'undo-failed', step, attempt, error: stored, ...told }
        : { kind: 'failed', step, attempt, error: stored, mayHaveHappened: false, ...told };
    return { kind: 'events', events: [event] };
  }
}
