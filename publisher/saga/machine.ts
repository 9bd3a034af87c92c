import { ThroughlineError } from '../../shared/errors.ts';
import type { Carrier } from '../../shared/trace/carrier.ts';
import type { ReservedSpan } from '../../shared/trace/durable-span.ts';
import type { OperatorAction, SagaEvent, StoredError } from './event.ts';

/**
 * The saga as a pure machine: no clock, no I/O, no telemetry. `apply` folds events into a state, `nextCommand` tells what
 * is to be done in a state. Whoever replays the journal gets the same state and the same command.
 *
 * M1. Nothing is commanded twice under two numbers: an attempt is over once its end is in the journal, and only then is
 *     the next one numbered. (The engine stores an event before it carries out the next command.)
 * M2. Compensation visits every step that may have happened, last first, each at least once.
 * M3. No step runs once compensation has begun.
 * M4. An event of an attempt that is not under way is refused: a stale resume or result changes nothing.
 * M5. A step that turns out to have happened after the rollback was planned is compensated, again if it was already.
 * M6. A saga ends confirmed, compensated, or resolved by an operator; else it is stuck, which is no end.
 */
export interface SagaState {
  readonly phase: SagaPhase;
  /** The step that is run or compensated; the number of steps when nothing is left to run. */
  readonly at: number;
  readonly steps: readonly StepState[];
  readonly failure?: { readonly step: string; readonly error: StoredError };
  /** Takeovers since the last progress. */
  readonly takeovers: number;
  readonly wasTakenOver: boolean;
}

export type SagaPhase = 'running' | 'compensating' | 'stuck' | 'confirmed' | 'compensated' | 'resolved';

export interface StepState {
  readonly name: string;
  readonly status: 'pending' | 'suspended' | 'signalled' | 'dispatched' | 'completed' | 'failed';
  /** The attempt that is under way or next, from 1; after the end of the step its last one. */
  readonly attempt: number;
  /** True unless every attempt is known to have done nothing. */
  readonly mayHaveHappened: boolean;
  readonly result?: unknown;
  /** The span of the attempt that ended last: what a compensation is linked to. */
  readonly span?: Carrier;
  readonly retryAtMs?: number;
  readonly waiting?: Waiting;
  readonly undo: UndoState;
}

export interface UndoState {
  readonly status: 'none' | 'dispatched' | 'undone' | 'skipped' | 'stuck';
  readonly attempt: number;
  /** Attempts since the start or since an operator said `retry`, the one under way included. */
  readonly tries: number;
  readonly retryAtMs?: number;
  readonly waiting?: Waiting;
  readonly error?: StoredError;
  /** The step turned out to have happened after this attempt was dispatched: it has to be followed by another (M5). */
  readonly isOutdated?: boolean;
}

/** For a signal (`suspended`, `signalled`) or for a worker (`dispatched`). */
export interface Waiting {
  readonly name: string;
  readonly deadlineMs: number;
  readonly sinceMs: number;
  readonly span: ReservedSpan;
  readonly data?: unknown;
  readonly signal?: { readonly payload: unknown; readonly carrier: Carrier; readonly atMs: number };
}

/** What the machine must know of a definition. */
export interface SagaShape {
  readonly steps: readonly {
    readonly name: string;
    readonly kind: 'function' | 'job';
    readonly compensation: 'skip' | 'run' | 'job';
  }[];
}

export type Command =
  | { readonly kind: 'run' | 'resume' | 'dispatch'; readonly index: number; readonly notBeforeMs?: number }
  | { readonly kind: 'undo' | 'dispatch-undo'; readonly index: number; readonly notBeforeMs?: number }
  | { readonly kind: 'await'; readonly index: number; readonly undo: boolean; readonly waiting: Waiting }
  | { readonly kind: 'rest' }
  | { readonly kind: 'end'; readonly outcome: SagaOutcome };

export type SagaOutcome = 'confirmed' | 'compensated' | 'resolved';

/** An event that no engine of this version can have written in this state: the journal or the definition is not what it was. */
export class SagaJournalError extends ThroughlineError {
  override readonly name = 'SagaJournalError';
  readonly code = 'SAGA_JOURNAL';
}

export function initialState(shape: SagaShape): SagaState {
  const steps = shape.steps.map(({ name }) => ({
    name,
    status: 'pending' as const,
    attempt: 1,
    mayHaveHappened: false,
    undo: { status: 'none' as const, attempt: 1, tries: 1 },
  }));
  return { phase: 'running', at: 0, steps, takeovers: 0, wasTakenOver: false };
}

export function nextCommand(shape: SagaShape, state: SagaState): Command {
  if (state.phase === 'stuck') return { kind: 'rest' };
  if (state.phase !== 'running' && state.phase !== 'compensating')
    return { kind: 'end', outcome: state.phase };
  const step = state.steps[state.at];
  const { kind, compensation } = shape.steps[state.at] ?? {};
  if (!step) throw new SagaJournalError(`there is no step ${state.at}`);
  const index = state.at;
  if (state.phase === 'compensating') {
    if (step.undo.status === 'dispatched' && step.undo.waiting)
      return { kind: 'await', index, undo: true, waiting: step.undo.waiting };
    const command = compensation === 'job' ? 'dispatch-undo' : 'undo';
    return { kind: command, index, ...notBefore(step.undo) };
  }
  if (step.status === 'signalled') return { kind: 'resume', index, ...notBefore(step) };
  if (step.waiting) return { kind: 'await', index, undo: false, waiting: step.waiting };
  return { kind: kind === 'job' ? 'dispatch' : 'run', index, ...notBefore(step) };
}

function notBefore({ retryAtMs }: { readonly retryAtMs?: number }) {
  return retryAtMs === undefined ? {} : { notBeforeMs: retryAtMs };
}

/** Errors: SagaJournalError when the event cannot follow upon the state (M4). */
export function apply(shape: SagaShape, state: SagaState, event: SagaEvent): SagaState {
  switch (event.kind) {
    case 'interrupted':
      return event.cause === 'shutdown'
        ? lostSight(state)
        : { ...lostSight(state), takeovers: state.takeovers + 1, wasTakenOver: true };
    case 'operator':
      return { ...operated(shape, state, event.action), takeovers: 0 };
    case 'completed-late':
      return { ...completedLate(shape, state, event), takeovers: 0 };
    case 'undone':
    case 'undo-failed':
      return { ...undoing(shape, state, event), takeovers: 0 };
    case 'dispatched':
      return { ...(event.undo ? undoing(shape, state, event) : running(shape, state, event)), takeovers: 0 };
    default:
      return { ...running(shape, state, event), takeovers: 0 };
  }
}

/** Whether the event can follow upon the state: what comes from outside (results, signals) is asked before it is stored. */
export function accepts(shape: SagaShape, state: SagaState, event: SagaEvent): boolean {
  try {
    apply(shape, state, event);
    return true;
  } catch (error) {
    if (error instanceof SagaJournalError) return false;
    throw error;
  }
}

type RunningEvent = Extract<
  SagaEvent,
  { kind: 'completed' | 'failed' | 'suspended' | 'signalled' | 'dispatched' }
>;
type UndoingEvent = Extract<SagaEvent, { kind: 'undone' | 'undo-failed' | 'dispatched' }>;

function running(shape: SagaShape, state: SagaState, event: RunningEvent): SagaState {
  const step = state.steps[state.at];
  if (state.phase !== 'running' || step?.name !== event.step || step.attempt !== event.attempt)
    // M3, M4
    throw refused(state, event);
  switch (event.kind) {
    case 'completed': {
      if (!mayComplete(shape, state, step)) throw refused(state, event);
      const { waiting: _, retryAtMs: __, ...rest } = step;
      const completed = { ...rest, status: 'completed', mayHaveHappened: true, span: event.span } as const;
      const next = replace(state, { ...completed, result: event.result });
      const at = state.at + 1;
      return at === state.steps.length ? { ...next, at, phase: 'confirmed' } : { ...next, at };
    }
    case 'failed':
      return failed(shape, state, step, event);
    case 'suspended':
      if (step.status !== 'pending' || isJob(shape, state)) throw refused(state, event);
      return replace(state, {
        ...step,
        status: 'suspended',
        mayHaveHappened: true,
        waiting: {
          name: event.signal,
          deadlineMs: event.deadlineMs,
          sinceMs: event.atMs,
          span: event.span,
          data: event.data,
        },
      });
    case 'signalled': {
      if (step.status !== 'suspended' || !step.waiting) throw refused(state, event);
      const { payload, carrier, atMs } = event;
      return replace(state, {
        ...step,
        status: 'signalled',
        waiting: { ...step.waiting, signal: { payload, carrier, atMs } },
      });
    }
    case 'dispatched':
      if (step.status !== 'pending' || !isJob(shape, state)) throw refused(state, event);
      return replace(state, {
        ...step,
        status: 'dispatched',
        mayHaveHappened: true,
        waiting: waitingFor(event),
      });
  }
}

function isJob(shape: SagaShape, { at }: SagaState): boolean {
  return shape.steps[at]?.kind === 'job';
}

/** M4. A function's result is none while its signal is awaited, a job's none before it is dispatched. */
function mayComplete(shape: SagaShape, state: SagaState, { status }: StepState): boolean {
  return isJob(shape, state) ? status === 'dispatched' : status === 'pending' || status === 'signalled';
}

function failed(
  shape: SagaShape,
  state: SagaState,
  step: StepState,
  event: Extract<SagaEvent, { kind: 'failed' }>,
): SagaState {
  const mayHaveHappened = step.mayHaveHappened || event.mayHaveHappened;
  const { retryAtMs: _, ...rest } = step;
  if (event.retryAtMs !== undefined) {
    if (step.status === 'suspended' || step.status === 'dispatched') throw refused(state, event);
    // A suspended step keeps its signal: what is tried again is its resume.
    const again = { ...rest, attempt: step.attempt + 1, mayHaveHappened, span: event.span };
    return replace(state, { ...again, retryAtMs: event.retryAtMs });
  }
  const { waiting: __, ...ended } = rest;
  const next = replace(state, { ...ended, status: 'failed', mayHaveHappened, span: event.span });
  const failure = { step: step.name, error: event.error };
  return compensateRest(shape, { ...next, phase: 'compensating', failure });
}

/** What was under way may have happened (M2). */
function lostSight(state: SagaState): SagaState {
  const step = state.steps[state.at];
  if (state.phase !== 'running' || step?.status !== 'pending') return state;
  return replace(state, { ...step, mayHaveHappened: true });
}

/** M2. Goes to the last step that is still to be undone; without one the saga is compensated. */
function compensateRest(shape: SagaShape, state: SagaState): SagaState {
  for (let index = state.steps.length - 1; index >= 0; index--) {
    const step = state.steps[index];
    if (!step?.mayHaveHappened || step.undo.status === 'undone' || step.undo.status === 'skipped') continue;
    if (shape.steps[index]?.compensation !== 'skip') return { ...state, at: index };
  }
  return { ...state, phase: 'compensated' };
}

function undoing(shape: SagaShape, state: SagaState, event: UndoingEvent): SagaState {
  const step = state.steps[state.at];
  if (state.phase !== 'compensating' || step?.name !== event.step || step.undo.attempt !== event.attempt)
    // M4
    throw refused(state, event);
  const { waiting: _, retryAtMs: __, isOutdated, ...undo } = step.undo;
  const isDispatched = step.undo.status === 'dispatched';
  const isByJob = shape.steps[state.at]?.compensation === 'job';
  if (event.kind === 'undone') {
    if (isDispatched !== isByJob) throw refused(state, event);
    const done = isOutdated ? undoAnew(undo.attempt + 1) : { ...undo, status: 'undone' as const };
    return compensateRest(shape, replace(state, { ...step, undo: done }));
  }
  if (event.kind === 'dispatched') {
    if (isDispatched || !isByJob) throw refused(state, event);
    return replace(state, { ...step, undo: { ...undo, status: 'dispatched', waiting: waitingFor(event) } });
  }
  const { error, retryAtMs } = event;
  if (retryAtMs !== undefined) {
    const again = {
      status: 'none',
      attempt: undo.attempt + 1,
      tries: undo.tries + 1,
      retryAtMs,
      error,
    } as const;
    return replace(state, { ...step, undo: again });
  }
  return { ...replace(state, { ...step, undo: { ...undo, status: 'stuck', error } }), phase: 'stuck' };
}

/** M5. Also of a saga that has ended compensated: it is opened again. */
function completedLate(
  shape: SagaShape,
  state: SagaState,
  event: Extract<SagaEvent, { kind: 'completed-late' }>,
): SagaState {
  const index = state.steps.findIndex(({ name }) => name === event.step);
  const step = state.steps[index];
  const isUndone = state.phase === 'compensating' || state.phase === 'compensated' || state.phase === 'stuck';
  if (!step || !isUndone || step.status !== 'failed') throw refused(state, event);
  const next = replaceAt(state, index, {
    ...step,
    status: 'completed',
    mayHaveHappened: true,
    result: event.result,
    undo: afterLateResult(step.undo),
  });
  if (state.phase === 'stuck') return next; // goes on from the top when an operator has dealt with it
  if (isUnderWay(state)) return next; // undoing() looks from the top when the compensation under way has ended
  return compensateRest(shape, { ...next, phase: 'compensating' });
}

function afterLateResult(undo: UndoState): UndoState {
  if (undo.status === 'undone') return undoAnew(undo.attempt + 1);
  return undo.status === 'dispatched' ? { ...undo, isOutdated: true } : undo;
}

function undoAnew(attempt: number): UndoState {
  return { status: 'none', attempt, tries: 1 };
}

function isUnderWay(state: SagaState): boolean {
  return state.phase === 'compensating' && state.steps[state.at]?.undo.status === 'dispatched';
}

function operated(shape: SagaShape, state: SagaState, action: OperatorAction): SagaState {
  const step = state.steps[state.at];
  if (state.phase !== 'stuck' || !step)
    throw new SagaJournalError(`a saga that is ${state.phase} cannot be told to ${action}: it is not stuck`);
  if (action === 'resolve') return { ...state, phase: 'resolved' };
  const { attempt } = step.undo;
  if (action === 'retry') {
    const next = replace(state, { ...step, undo: undoAnew(attempt + 1) });
    return compensateRest(shape, { ...next, phase: 'compensating' }); // a later step may have turned out to have happened
  }
  const skipped = replace(state, { ...step, undo: { ...step.undo, status: 'skipped' } });
  return compensateRest(shape, { ...skipped, phase: 'compensating' });
}

function waitingFor(event: Extract<SagaEvent, { kind: 'dispatched' }>): Waiting {
  const { jobId, deadlineMs, span } = event;
  return { name: jobSignal(jobId), deadlineMs, sinceMs: span.startMs, span };
}

/** The name under which a worker's result arrives at the saga. */
export function jobSignal(jobId: string): string {
  return `job:${jobId}`;
}

function replace(state: SagaState, step: StepState): SagaState {
  return replaceAt(state, state.at, step);
}

function replaceAt(state: SagaState, index: number, step: StepState): SagaState {
  return { ...state, steps: state.steps.with(index, step) };
}

function refused(state: SagaState, event: SagaEvent): SagaJournalError {
  const { at, phase, steps } = state;
  const now = steps[at];
  const where = now ? `step ${now.name}, attempt ${now.attempt}, ${now.status}` : 'no step';
  return new SagaJournalError(`"${event.kind}" cannot follow upon a saga that is ${phase} at ${where}`);
}
