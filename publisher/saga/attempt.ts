import { context } from '@opentelemetry/api';
import { backoffMs, MAX_BACKOFF_MS, type RetryPolicy } from '../../shared/job/retry.ts';
import { isStorable, refuseUnstorable, storableText, UnstorableDataError } from '../../shared/storable.ts';
import { withTimeLimit } from '../../shared/time-limit.ts';
import { errorMessage, errorType } from '../../shared/trace/record-error.ts';
import type { ActiveSaga } from './active-saga.ts';
import { type AttemptFacts, type LiveAttempt, startAttempt } from './attempt-spans.ts';
import type { CompensationContext, StepContext } from './define.ts';
import { EngineStoppingError, ProcessLostError, ResultNotJsonError, StepTimeoutError } from './errors.ts';
import type { StoredError } from './event.ts';
import { isSuspension } from './suspend.ts';

/** How one attempt of a function went. */
export type AttemptEnd<T> =
  | { readonly ok: true; readonly live: LiveAttempt; readonly value: T }
  | { readonly ok: false; readonly live: LiveAttempt; readonly error: unknown };

/** Runs a step's or a compensation's function in its span, for as long as it may take. Errors: none, it tells them. */
export async function runAttempt<T>(
  saga: ActiveSaga,
  facts: AttemptFacts,
  timeoutMs: number,
  work: (signal: AbortSignal, live: LiveAttempt) => Promise<T>,
): Promise<AttemptEnd<T>> {
  const live = startAttempt(saga, facts);
  const controller = new AbortController();
  saga.controller = controller;
  try {
    const onTimeout = () => new StepTimeoutError(facts.step, timeoutMs);
    const value = await context.with(live.context, () =>
      withTimeLimit({ timeoutMs, controller, onTimeout }, async (signal) => work(signal, live)),
    );
    if (isSuspension(value)) asJson(value.data, 'data');
    return { ok: true, live, value };
  } catch (error) {
    // However the work words it: what we cut short is no failure of the step's.
    const { reason } = controller.signal;
    return { ok: false, live, error: reason instanceof EngineStoppingError ? reason : error };
  } finally {
    saga.controller = undefined;
  }
}

/** What a step's function is given; `signal` is missing where nothing is run, only asked for a payload. */
export function stepContext<Signal extends AbortSignal | undefined>(
  saga: ActiveSaga,
  index: number,
  attempt: number,
  signal: Signal,
): StepContext<unknown, unknown> & { readonly signal: Signal } {
  const step = saga.definition.steps[index]?.name ?? '';
  return {
    sagaId: saga.id,
    orderKey: saga.orderKey,
    input: saga.input,
    results: resultsOf(saga),
    idempotencyKey: idempotencyKey(saga, step),
    attempt,
    signal,
  } as StepContext<unknown, unknown> & { readonly signal: Signal };
}

export function compensationContext<Signal extends AbortSignal | undefined>(
  saga: ActiveSaga,
  index: number,
  attempt: number,
  signal: Signal,
): CompensationContext<unknown, unknown, unknown> & { readonly signal: Signal } {
  const step = saga.state.steps[index];
  const { failure } = saga.state;
  const undoes = idempotencyKey(saga, step?.name ?? '');
  return {
    ...stepContext(saga, index, attempt, signal),
    idempotencyKey: `${undoes}/undo`,
    undoes,
    result: step?.result,
    failure: { step: failure?.step ?? '', type: '', message: '', ...failure?.error },
  };
}

function idempotencyKey(saga: ActiveSaga, step: string): string {
  return `${saga.id}/${step}`;
}

function resultsOf({ state }: ActiveSaga): Record<string, unknown> {
  const results: Record<string, unknown> = {};
  for (const { name, status, result } of state.steps) if (status === 'completed') results[name] = result;
  return results;
}

const MAX_MESSAGE_CHARS = 500;

export function storedError(error: unknown): StoredError {
  return {
    type: storableText(errorType(error)),
    message: storableText(errorMessage(error), MAX_MESSAGE_CHARS),
  };
}

/** When the attempt after this one is due, in ms since the epoch; undefined: none can help, or none is left. */
export function retryAtMs(
  error: unknown,
  attempts: number,
  policy: { readonly retry: RetryPolicy; readonly isFinal: ((error: unknown) => boolean) | undefined },
): number | undefined {
  if (isFinal(error) || attempts >= policy.retry.maxAttempts || (policy.isFinal ?? saysFinal)(error))
    return undefined;
  const { retryAfterMs } = (error ?? {}) as { retryAfterMs?: unknown };
  const wished = typeof retryAfterMs === 'number' && retryAfterMs >= 0 ? retryAfterMs : undefined;
  return Date.now() + Math.min(wished ?? backoffMs(attempts, policy.retry), MAX_BACKOFF_MS);
}

/** The process dies here, or the step happened and its result is lost: another attempt changes nothing. */
function isFinal(error: unknown): boolean {
  return (
    error instanceof ProcessLostError ||
    error instanceof ResultNotJsonError ||
    error instanceof UnstorableDataError
  );
}

function saysFinal(error: unknown): boolean {
  return (error as { retryable?: unknown } | undefined)?.retryable === false;
}

/** Unless an error says that nothing happened (`effect: 'none'`), the step may have. */
export function mayHaveHappened(error: unknown): boolean {
  return (error as { effect?: unknown } | undefined)?.effect !== 'none';
}

/**
 * As it will be read from the journal, so that a step sees the same whether or not its process was restarted.
 *
 * Shape: big integers become strings, what JSON has no word for becomes undefined or null.
 * Errors: ResultNotJsonError, for instance of a circle; UnstorableDataError, which names where, from `root` on.
 */
export function asJson(value: unknown, root = 'result'): unknown {
  if (value === null || typeof value === 'boolean') return value;
  if (typeof value === 'string' && isStorable(value)) return value;
  let text: string | undefined;
  try {
    text = jsonText(value);
  } catch (cause) {
    throw new ResultNotJsonError(cause);
  }
  if (text === undefined) return undefined;
  refuseUnstorable(text, root);
  return JSON.parse(text);
}

/** A replacer makes it several times as slow, and few results have need of it. */
function jsonText(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    return JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? String(part) : part));
  }
}
