import { type Carrier, spanContextOf } from '../../shared/trace/carrier.ts';
import type { SagaEvent, StoredError } from './event.ts';

/** What a journal tells of the attempts of one step, or of its compensation. Times in ms since the epoch. */
export interface AttemptHistory {
  /** Of the first attempt. */
  readonly startMs: number | undefined;
  /** Of the last attempt that ended. */
  readonly endMs: number | undefined;
  /** Of all attempts; undefined: none of them has waited to its end. */
  readonly waitMs: number | undefined;
  /** Of the last attempt that ended or began to wait. */
  readonly span: Carrier | undefined;
  /** Of the last attempt that failed. */
  readonly error: StoredError | undefined;
}

type AttemptEvent = Extract<
  SagaEvent,
  { kind: 'completed' | 'failed' | 'undone' | 'undo-failed' | 'suspended' | 'dispatched' | 'completed-late' }
>;

export function stepAttempts(events: readonly SagaEvent[], step: string): AttemptHistory {
  return attemptsIn(events.filter((event) => isOfStep(event) && event.step === step && !isUndo(event)));
}

export function compensationAttempts(events: readonly SagaEvent[], step: string): AttemptHistory {
  return attemptsIn(events.filter((event) => isOfStep(event) && event.step === step && isUndo(event)));
}

function isOfStep(event: SagaEvent): event is AttemptEvent {
  return event.kind !== 'interrupted' && event.kind !== 'operator' && event.kind !== 'signalled';
}

function isUndo(event: AttemptEvent): boolean {
  return event.kind === 'dispatched' ? event.undo : event.kind === 'undone' || event.kind === 'undo-failed';
}

function attemptsIn(events: readonly SagaEvent[]): AttemptHistory {
  const waits = events.flatMap((event) => ('waitMs' in event ? (event.waitMs ?? []) : []));
  return {
    startMs: events.map(startOf).find((ms) => ms !== undefined),
    endMs: events.map(endOf).findLast((ms) => ms !== undefined),
    waitMs: waits.length > 0 ? waits.reduce((sum, ms) => sum + ms, 0) : undefined,
    span: events.map(spanOf).findLast((span) => span !== undefined),
    error: events.flatMap((event) => ('error' in event ? event.error : [])).at(-1),
  };
}

function startOf(event: SagaEvent): number | undefined {
  if ('startMs' in event) return event.startMs;
  return event.kind === 'suspended' || event.kind === 'dispatched' ? event.span.startMs : undefined;
}

function endOf(event: SagaEvent): number | undefined {
  if ('endMs' in event) return event.endMs;
  return event.kind === 'completed-late' ? event.atMs : undefined;
}

function spanOf(event: SagaEvent): Carrier | undefined {
  if (event.kind === 'suspended' || event.kind === 'dispatched') return event.span.self;
  return 'endMs' in event ? event.span : undefined;
}

/** When attempts took place, and where they are found in the trace: the last of them that ended, or is awaited. */
export interface Told {
  /** Of the first attempt; undefined while that has not ended, failed or begun to wait. */
  readonly startedAt: string | undefined;
  /** Of the last attempt, once no other one follows. */
  readonly endedAt: string | undefined;
  readonly traceId: string | undefined;
  readonly spanId: string | undefined;
  /** Of the last failed attempt, unless a later one succeeded. */
  readonly error: StoredError | undefined;
}

export function told(
  { startMs, endMs, span, error }: AttemptHistory,
  { succeeded, isOver }: { readonly succeeded: boolean; readonly isOver: boolean },
): Told {
  const spanContext = spanContextOf(span);
  return {
    startedAt: startMs === undefined ? undefined : timeOf(startMs),
    endedAt: endMs === undefined || !isOver ? undefined : timeOf(endMs),
    traceId: spanContext?.traceId,
    spanId: spanContext?.spanId,
    error: succeeded ? undefined : error,
  };
}

/** RFC 3339, in UTC. */
export function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}
