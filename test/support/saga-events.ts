import type { OperatorAction, SagaEvent } from '../../publisher/saga/event.ts';
import type { ReservedSpan } from '../../shared/trace/durable-span.ts';

/** Events of a saga, as an engine would write them, with times that mean nothing. */
const attemptSpan = (step: string, attempt: number) => ({
  span: { traceparent: `${step}/${attempt}` },
  startMs: 1,
  endMs: 2,
});
const reserved = (name: string): ReservedSpan => ({ name, kind: 0, startMs: 1, self: {}, parent: {} });
const error = { type: 'BROKEN', message: 'it broke' };

export const completed = (step: string, attempt = 1, result?: unknown): SagaEvent => ({
  kind: 'completed',
  step,
  attempt,
  result: result ?? `${step} done`,
  ...attemptSpan(step, attempt),
});

export const failed = (
  step: string,
  attempt = 1,
  { retry = false, mayHaveHappened = true } = {},
): SagaEvent => ({
  kind: 'failed',
  step,
  attempt,
  error,
  mayHaveHappened,
  ...(retry && { retryAtMs: 10 }),
  ...attemptSpan(step, attempt),
});

export const suspended = (step: string, attempt = 1): SagaEvent => ({
  kind: 'suspended',
  step,
  attempt,
  signal: 'go',
  data: { url: 'https://bank.example' },
  deadlineMs: 100,
  span: reserved(step),
  atMs: 1,
});

export const signalled = (step: string, attempt = 1): SagaEvent => ({
  kind: 'signalled',
  step,
  attempt,
  payload: { approved: true },
  carrier: {},
  atMs: 5,
});

export const dispatched = (step: string, attempt = 1, undo = false): SagaEvent => ({
  kind: 'dispatched',
  step,
  attempt,
  jobId: `saga/${step}`,
  deadlineMs: 100,
  span: reserved(step),
  undo,
});

export const undone = (step: string, attempt = 1): SagaEvent => ({
  kind: 'undone',
  step,
  attempt,
  ...attemptSpan(`undo ${step}`, attempt),
});

export const undoFailed = (step: string, attempt = 1, { retry = false } = {}): SagaEvent => ({
  kind: 'undo-failed',
  step,
  attempt,
  error,
  ...(retry && { retryAtMs: 10 }),
  ...attemptSpan(`undo ${step}`, attempt),
});

export const completedLate = (step: string, result: unknown = 'late'): SagaEvent => ({
  kind: 'completed-late',
  step,
  result,
  atMs: 9,
});

export const interrupted = (cause: 'process-lost' | 'shutdown' = 'process-lost'): SagaEvent => ({
  kind: 'interrupted',
  cause,
  runner: 'r-1',
  atMs: 3,
});

export const operator = (action: OperatorAction): SagaEvent => ({
  kind: 'operator',
  action,
  actor: 'ada',
  reason: 'because',
  carrier: {},
  atMs: 4,
});
