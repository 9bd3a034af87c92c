import type { z } from 'zod';
import { sagaResultJob } from '../../shared/job/saga-result.ts';
import { refuseUnstorable, storableText } from '../../shared/storable.ts';
import { spanContextOf } from '../../shared/trace/carrier.ts';
import { isSampled } from '../../shared/trace/sampling.ts';
import type { ActiveSaga, PendingSignal } from './active-saga.ts';
import { asJson, storedError } from './attempt.ts';
import { tellAttempt } from './attempt-spans.ts';
import type { Extras } from './checkpoint.ts';
import { JobResultError, JobTimeoutError, SignalTimeoutError } from './errors.ts';
import type { OperatorAction, SagaEvent, StoredError } from './event.ts';
import { accepts, type Command, jobSignal } from './machine.ts';

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
  if (command.undo) return undoResult(saga, command, signal);
  const step = saga.state.steps[command.index];
  return step?.status === 'suspended' ? signalled(saga, command, signal) : jobResult(saga, command, signal);
}

/** A payload that the journal cannot hold was refused when it came, unless older code took it: the step fails of it. */
function signalled(saga: ActiveSaga, command: Await, { payload, carrier }: PendingSignal): SagaEvent {
  const step = saga.state.steps[command.index];
  try {
    refuseUnstorable(JSON.stringify(payload), `payload of signal "${command.waiting.name}"`);
  } catch (error) {
    return gaveUp(saga, command, storedError(error));
  }
  const facts = { step: step?.name ?? '', attempt: step?.attempt ?? 1 };
  return { kind: 'signalled', ...facts, payload, carrier, atMs: Date.now() };
}

/** A result that comes from a sampled span in a saga that is not sampled: the worker had trouble, and kept what it has. */
function jobResult(saga: ActiveSaga, command: Await, { payload, carrier }: PendingSignal): SagaEvent {
  const read = readResult(saga, command.index, payload);
  if ('error' in read) return gaveUp(saga, command, read.error);
  const state = saga.state.steps[command.index];
  const [step, attempt] = [state?.name ?? '', state?.attempt ?? 1];
  const waitMs = Date.now() - command.waiting.sinceMs;
  const sampled = isSampled(spanContextOf(carrier));
  const span = tellAttempt(saga, { kind: 'step', step, attempt }, command.waiting.span, { waitMs, sampled });
  return { kind: 'completed', step, attempt, result: read.result, ...span };
}

/** What was awaited did not come, or says or is a failure: for all that is known, the step happened. */
function gaveUp(saga: ActiveSaga, { index, waiting }: Await, error: StoredError): SagaEvent {
  const state = saga.state.steps[index];
  const [step, attempt] = [state?.name ?? '', state?.attempt ?? 1];
  const waitMs = Date.now() - waiting.sinceMs;
  const span = tellAttempt(saga, { kind: 'step', step, attempt }, waiting.span, { waitMs, error });
  return { kind: 'failed', step, attempt, error, mayHaveHappened: true, ...span };
}

function undoResult(saga: ActiveSaga, command: Await, { payload }: PendingSignal): SagaEvent {
  const parsed = resultSchema.safeParse(payload);
  if (parsed.success && parsed.data.outcome === 'done') return undone(saga, command);
  const error =
    parsed.success && parsed.data.outcome === 'failed'
      ? storable(parsed.data.error)
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

type ReadResult =
  | { readonly result: unknown }
  /** `isDone`: the worker did finish, whatever it said. */
  | { readonly error: StoredError; readonly isDone: boolean };

function readResult(saga: ActiveSaga, index: number, payload: unknown): ReadResult {
  const parsed = resultSchema.safeParse(payload);
  if (!parsed.success) return unread(new JobResultError('the result is not one of a job'), false);
  if (parsed.data.outcome === 'failed') return { error: storable(parsed.data.error), isDone: false };
  const checked = saga.definition.steps[index]?.result?.safeParse(parsed.data.result);
  if (checked?.success === false) return unread(new JobResultError(issuesOf(checked.error)), true);
  try {
    return { result: asJson(checked ? checked.data : parsed.data.result) };
  } catch (error) {
    return unread(error, true);
  }
}

function unread(error: unknown, isDone: boolean): ReadResult {
  return { error: storedError(error), isDone };
}

/** A worker's error in its own words. */
function storable({ type, message }: StoredError): StoredError {
  return { type: storableText(type), message: storableText(message) };
}

function issuesOf(error: z.ZodError): string {
  return error.issues.map(({ path, message }) => `${path.join('.') || '(result)'}: ${message}`).join('; ');
}

function timedOut(saga: ActiveSaga, command: Await): Arrived {
  const step = saga.state.steps[command.index]?.name ?? '';
  const isJob = command.waiting.name.startsWith(jobSignal(''));
  const jobId = command.waiting.name.slice(jobSignal('').length);
  const error = storedError(
    isJob ? new JobTimeoutError(step, jobId) : new SignalTimeoutError(step, command.waiting.name),
  );
  const event = command.undo ? undone(saga, command, error) : gaveUp(saga, command, error);
  return { events: [event], extras: isJob ? { cancelled: [jobId] } : {} };
}

/** M5: a worker did finish the job of a step that was given up. */
function lateResult(saga: ActiveSaga): Arrived | undefined {
  for (const [name, { payload }] of saga.pending) {
    const index = saga.definition.steps.findIndex((step) => jobSignal(jobIdOf(saga, step.name)) === name);
    if (index < 0) continue;
    const step = saga.definition.steps[index]?.name ?? '';
    const read = readResult(saga, index, payload);
    if ('error' in read && !read.isDone) continue;
    const result = 'error' in read ? undefined : read.result;
    const event: SagaEvent = { kind: 'completed-late', step, result, atMs: Date.now() };
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
    const words = { actor: storableText(actor), reason: storableText(reason) };
    return take(saga, [name], { kind: 'operator', action, ...words, carrier, atMs: Date.now() });
  }
  return undefined;
}
