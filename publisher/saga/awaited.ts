import type { z } from 'zod';
import { sagaResultJob } from '../../shared/job/saga-result.ts';
import type { ActiveSaga, PendingSignal } from './active-saga.ts';
import { storedError } from './attempt.ts';
import type { Extras } from './checkpoint.ts';
import { JobResultError, JobTimeoutError, SignalTimeoutError } from './errors.ts';
import type { OperatorAction, SagaEvent, StoredError } from './event.ts';
import { accepts, type Command, jobSignal } from './machine.ts';
import { tellAttempt } from './saga-spans.ts';

/** What came for a saga that waits, rests or has ended, and is to be written. */
export interface Arrived {
  readonly events: readonly SagaEvent[];
  readonly extras: Extras;
}

/** Signals that operators send; each has a name of its own. */
export const OPERATOR_SIGNAL = 'operator:';

type Await = Extract<Command, { kind: 'await' }>;

/** What may be taken from the saga's pending signals now, or from the clock; undefined: nothing. */
export function arrived(saga: ActiveSaga, command: Command): Arrived | undefined {
  if (command.kind === 'await') {
    const signal = saga.pending.get(command.waiting.name);
    if (signal) return take(saga, [command.waiting.name], awaitedEvent(saga, command, signal));
    const late = lateResult(saga);
    if (late) return late;
    return command.waiting.deadlineMs <= Date.now() ? timedOut(saga, command) : undefined;
  }
  return command.kind === 'rest' ? (operatorAction(saga) ?? lateResult(saga)) : lateResult(saga);
}

/** Signals that nobody will ever take: results that nobody waits for, orders to a saga that is not stuck. */
export function leftovers(saga: ActiveSaga): readonly string[] {
  return [...saga.pending.keys()].filter(
    (name) => name.startsWith(OPERATOR_SIGNAL) || name.startsWith(jobSignal('')),
  );
}

function take(saga: ActiveSaga, names: readonly string[], event: SagaEvent): Arrived {
  for (const name of names) saga.pending.delete(name);
  return { events: [event], extras: { taken: names } };
}

function awaitedEvent(saga: ActiveSaga, command: Await, signal: PendingSignal): SagaEvent {
  const step = saga.state.steps[command.index];
  const facts = { step: step?.name ?? '', attempt: step?.attempt ?? 1 };
  if (step?.status === 'suspended' && !command.undo) {
    const { payload, carrier } = signal;
    return { kind: 'signalled', ...facts, payload, carrier, atMs: Date.now() };
  }
  return command.undo ? undoResult(saga, command, signal) : jobResult(saga, command, signal);
}

function jobResult(saga: ActiveSaga, command: Await, { payload }: PendingSignal): SagaEvent {
  const step = saga.state.steps[command.index];
  const facts = { kind: 'step', step: step?.name ?? '', attempt: step?.attempt ?? 1 } as const;
  const read = readResult(saga, command.index, payload);
  const waitMs = Date.now() - command.waiting.sinceMs;
  const { step: name, attempt } = facts;
  if ('error' in read) {
    const span = tellAttempt(saga, facts, command.waiting.span, { waitMs, error: read.error });
    return { kind: 'failed', step: name, attempt, error: read.error, mayHaveHappened: true, ...span };
  }
  const span = tellAttempt(saga, facts, command.waiting.span, { waitMs });
  return { kind: 'completed', step: name, attempt, result: read.result, ...span };
}

function undoResult(saga: ActiveSaga, command: Await, { payload }: PendingSignal): SagaEvent {
  const parsed = resultSchema.safeParse(payload);
  if (parsed.success && parsed.data.outcome === 'done') return undone(saga, command);
  const error =
    parsed.success && parsed.data.outcome === 'failed'
      ? parsed.data.error
      : storedError(new JobResultError('the result is not one of a job'));
  return undone(saga, command, error);
}

/** A compensation that a worker ran, or gave up: it had its attempts there. */
function undone(saga: ActiveSaga, { index, waiting }: Await, error?: StoredError): SagaEvent {
  const state = saga.state.steps[index];
  const facts = { kind: 'compensate', step: state?.name ?? '', attempt: state?.undo.attempt ?? 1 } as const;
  const waitMs = Date.now() - waiting.sinceMs;
  const span = tellAttempt(saga, facts, waiting.span, { waitMs, ...(error && { error }) });
  const { step, attempt } = facts;
  return error
    ? { kind: 'undo-failed', step, attempt, error, ...span }
    : { kind: 'undone', step, attempt, ...span };
}

const resultSchema = sagaResultJob('results').payload;

function readResult(
  saga: ActiveSaga,
  index: number,
  payload: unknown,
): { readonly result: unknown } | { readonly error: StoredError } {
  const parsed = resultSchema.safeParse(payload);
  if (!parsed.success) return { error: storedError(new JobResultError('the result is not one of a job')) };
  if (parsed.data.outcome === 'failed') return { error: parsed.data.error };
  const checked = saga.definition.steps[index]?.result?.safeParse(parsed.data.result);
  if (!checked || checked.success) return { result: checked ? checked.data : parsed.data.result };
  return { error: storedError(new JobResultError(issuesOf(checked.error))) };
}

function issuesOf(error: z.ZodError): string {
  return error.issues.map(({ path, message }) => `${path.join('.') || '(result)'}: ${message}`).join('; ');
}

function timedOut(saga: ActiveSaga, command: Await): Arrived {
  const state = saga.state.steps[command.index];
  const step = state?.name ?? '';
  const isJob = command.waiting.name.startsWith(jobSignal(''));
  const jobId = command.waiting.name.slice(jobSignal('').length);
  const error = storedError(
    isJob ? new JobTimeoutError(step, jobId) : new SignalTimeoutError(step, command.waiting.name),
  );
  const extras = isJob ? { cancelled: [jobId] } : {};
  if (command.undo) return { events: [undone(saga, command, error)], extras };
  const attempt = state?.attempt ?? 1;
  const waitMs = Date.now() - command.waiting.sinceMs;
  const span = tellAttempt(saga, { kind: 'step', step, attempt }, command.waiting.span, { waitMs, error });
  return { events: [{ kind: 'failed', step, attempt, error, mayHaveHappened: true, ...span }], extras };
}

/** M5: a worker did finish the job of a step that was given up. */
function lateResult(saga: ActiveSaga): Arrived | undefined {
  for (const [name, { payload }] of saga.pending) {
    const index = saga.definition.steps.findIndex((step) => jobSignal(jobIdOf(saga, step.name)) === name);
    if (index < 0) continue;
    const step = saga.definition.steps[index]?.name ?? '';
    const read = readResult(saga, index, payload);
    if ('error' in read) continue;
    const event: SagaEvent = { kind: 'completed-late', step, result: read.result, atMs: Date.now() };
    if (accepts(saga.shape, saga.state, event)) return take(saga, [name], event);
  }
  return undefined;
}

/** The id of a step's job; the same however often it is dispatched. */
export function jobIdOf({ id }: ActiveSaga, step: string): string {
  return `${id}/${step}`;
}

function operatorAction(saga: ActiveSaga): Arrived | undefined {
  for (const [name, { payload, carrier }] of saga.pending) {
    if (!name.startsWith(OPERATOR_SIGNAL)) continue;
    const { action, actor, reason } = payload as { action: OperatorAction; actor: string; reason: string };
    return take(saga, [name], { kind: 'operator', action, actor, reason, carrier, atMs: Date.now() });
  }
  return undefined;
}
