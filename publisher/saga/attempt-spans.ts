import {
  type Attributes,
  type context,
  type Link,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { type Carrier, captureCarrier, spanContextOf } from '../../shared/trace/carrier.ts';
import { emitReservedSpan, type ReservedSpan } from '../../shared/trace/durable-span.ts';
import { links, linkTo } from '../../shared/trace/links.ts';
import { recordError } from '../../shared/trace/record-error.ts';
import { asKept, isSampled, keeping } from '../../shared/trace/sampling.ts';
import {
  ERROR_TYPE,
  SAGA_ATTEMPT,
  SAGA_COMPENSATION_ORIGINAL_SPAN_ID,
  SAGA_COMPENSATION_ORIGINAL_TRACE_ID,
  SAGA_NAME,
  SAGA_STEP,
  SAGA_WAIT_MS,
  SAMPLING_KEPT,
} from '../../shared/trace/semconv.ts';
import { deriveIds, startWithIds, withDerivedIds } from '../../shared/trace/span-ids.ts';
import { tracer } from '../../shared/trace/tracer.ts';
import type { ActiveSaga } from './active-saga.ts';
import type { AttemptSpan, SagaEvent, StoredError } from './event.ts';

/**
 * The spans of a saga's attempts: `step …`, `compensate …` and `resume …`. That of the saga itself is saga-spans.ts'.
 *
 * S1. A span's id follows from saga, step and attempt. An attempt that is run again after its process died is the same
 *     attempt: its span, and the spans below it, get the ids that the first run gave them.
 * S2. Nothing is held open over a wait: an attempt that suspends, or that a worker runs, is reserved and told at its end.
 * S3. Everything is told before the checkpoint that makes it final, and can be made to be exported before it too
 *     (release.ts), so that no crash loses it; told twice it has the same ids.
 * S4. What undoes a saga is sampled, whatever the order's coin said: by then it is known that the saga failed. That an
 *     attempt was kept because it failed or was slow the journal says by its span's sampled flag.
 */
export type AttemptKind = 'step' | 'compensate' | 'resume';

export interface AttemptFacts {
  readonly kind: AttemptKind;
  readonly step: string;
  readonly attempt: number;
}

export interface LiveAttempt {
  readonly startMs: number;
  readonly context: ReturnType<typeof context.active>;
  readonly span: Span;
}

/** S1. */
function seedOf(saga: ActiveSaga, { kind, step, attempt }: AttemptFacts): string {
  return `${saga.id}/${kind}/${step}/${attempt}`;
}

export function nameOf(saga: ActiveSaga, { kind, step }: AttemptFacts): string {
  return kind === 'resume' ? `resume ${saga.definition.name}` : `${kind} ${step}`;
}

/** Starts an attempt's span; its context is what the attempt is run in. */
export function startAttempt(saga: ActiveSaga, facts: AttemptFacts): LiveAttempt {
  const seed = seedOf(saga, facts);
  const parent = facts.kind === 'compensate' ? keeping(saga.context, 'compensates') : saga.context; // S4
  const span = startWithIds(deriveIds(seed), () =>
    tracer().startSpan(
      nameOf(saga, facts),
      { attributes: attemptAttributes(saga, facts), links: attemptLinks(saga, facts) },
      parent,
    ),
  );
  const context = withDerivedIds(trace.setSpan(parent, span), seed);
  const live = { startMs: Date.now(), span, context };
  if (facts.kind === 'resume') resumes.set(saga, live);
  return live;
}

/** The resume that ends, or ended, with the step that is told next: the step's event is what the journal has of both. */
const resumes = new WeakMap<ActiveSaga, LiveAttempt>();

/** Ends an attempt's span and says what the journal needs to know of it. */
export function endAttempt({ span, startMs }: LiveAttempt, error?: unknown): AttemptSpan {
  // A step with a transaction ends its span before the commit; should that fail, it is too late to amend it.
  if (span.isRecording()) {
    if (error !== undefined) recordError(span, error);
    span.end();
  }
  return { span: traceparentOf(span), startMs, endMs: Date.now() };
}

/** S2. What stands for an attempt that goes on elsewhere or later. `live`: what was begun of it here. */
export function reserveAttempt(
  saga: ActiveSaga,
  facts: AttemptFacts,
  startMs: number,
  live?: LiveAttempt,
): ReservedSpan {
  const parent = trace.getSpanContext(saga.context);
  const { spanId } = deriveIds(seedOf(saga, facts));
  const isKept = facts.kind === 'compensate' || (live && isSampled(live.span.spanContext())); // S4
  const own = parent && { ...(isKept ? asKept(parent) : parent), spanId, isRemote: false };
  const self = own ? captureCarrier(trace.setSpanContext(saga.context, own)) : {};
  return { name: nameOf(saga, facts), kind: SpanKind.INTERNAL, startMs, self, parent: saga.span.self };
}

/** Emits a reserved attempt, ended now, with the time that it waited. */
export function tellAttempt(
  saga: ActiveSaga,
  facts: AttemptFacts,
  reserved: ReservedSpan,
  {
    waitMs,
    error,
    sampled,
  }: { readonly waitMs: number; readonly error?: StoredError; readonly sampled?: boolean },
): AttemptSpan {
  const endMs = Date.now();
  emitAttempt(saga, facts, reserved, { endMs, waitMs, error, ...(sampled && { sampled }) });
  const resume = resumes.get(saga);
  resumes.delete(saga);
  return {
    span: onlyTraceparent(sampled ? asSampled(reserved.self) : reserved.self),
    startMs: reserved.startMs,
    endMs,
    waitMs,
    ...(resume && { resume: { span: traceparentOf(resume.span), startMs: resume.startMs } }),
  };
}

export interface AttemptEnded {
  readonly endMs: number;
  readonly waitMs?: number | undefined;
  readonly error?: StoredError | undefined;
  readonly sampled?: boolean;
}

export function emitAttempt(
  saga: ActiveSaga,
  facts: AttemptFacts,
  reserved: ReservedSpan,
  { endMs, waitMs, error, sampled }: AttemptEnded,
): void {
  const waited = waitMs === undefined ? {} : { [SAGA_WAIT_MS]: waitMs };
  const kept = sampled && !isSampled(spanContextOf(reserved.self)) ? { [SAMPLING_KEPT]: 'journal' } : {};
  emitReservedSpan(reserved, {
    endMs,
    ...(sampled && { sampled }),
    attributes: { ...attemptAttributes(saga, facts), ...waited, ...kept, ...errorAttributes(error) },
    links: attemptLinks(saga, facts),
    ...errorStatus(error),
    events: waitMs ? [{ name: 'waited', timeMs: endMs, attributes: waited }] : [],
  });
}

function attemptAttributes(saga: ActiveSaga, { kind, step, attempt }: AttemptFacts): Attributes {
  const attributes: Attributes = {
    [SAGA_NAME]: saga.definition.name,
    [SAGA_STEP]: step,
    [SAGA_ATTEMPT]: attempt,
  };
  if (kind !== 'compensate') return attributes;
  const undone = spanContextOf(stateOf(saga, step)?.span);
  if (!undone) return attributes;
  attributes[SAGA_COMPENSATION_ORIGINAL_TRACE_ID] = undone.traceId;
  attributes[SAGA_COMPENSATION_ORIGINAL_SPAN_ID] = undone.spanId;
  return attributes;
}

function attemptLinks(saga: ActiveSaga, facts: AttemptFacts): Link[] {
  const { kind, step, attempt } = facts;
  const previous = linkTo(spanContextOf(previousAttempt(saga, facts)), 'previous-attempt');
  switch (kind) {
    case 'compensate': {
      const { failure } = saga.state;
      return links(
        linkTo(spanContextOf(stateOf(saga, step)?.span), 'undoes'),
        linkTo(spanContextOf(failure && stateOf(saga, failure.step)?.span), 'failed-step'),
        previous,
        linkTo(spanContextOf(operatorBefore(saga, step, attempt)), 'caused-by'),
      );
    }
    case 'resume':
      return links(linkTo(spanContextOf(signalOf(saga, step)?.carrier), 'caused-by'), previous);
    case 'step':
      return links(previous);
  }
}

function stateOf(saga: ActiveSaga, step: string) {
  return saga.state.steps.find(({ name }) => name === step);
}

/** The one that failed before: of a step before it was suspended, of its resume since. */
function previousAttempt(saga: ActiveSaga, { kind, step, attempt }: AttemptFacts): Carrier | undefined {
  if (attempt === 1) return undefined;
  const failed = saga.history.findLast(
    (event) =>
      (event.kind === 'failed' || event.kind === 'undo-failed') &&
      event.step === step &&
      event.attempt < attempt &&
      kindOf(saga, event) === kind,
  );
  return failed && 'endMs' in failed ? failed.span : undefined;
}

/** What the span of an event is of. A suspended step fails once, for good; what is tried again is its resume. */
export function kindOf(saga: ActiveSaga, event: EndEvent): AttemptKind {
  if (event.kind === 'undone' || event.kind === 'undo-failed') return 'compensate';
  const signal = signalOf(saga, event.step);
  const isRetried = event.kind === 'failed' && event.retryAtMs !== undefined;
  return isRetried && signal && event.attempt >= signal.attempt ? 'resume' : 'step';
}

export type EndEvent = Extract<SagaEvent, AttemptSpan>;

export function signalOf({ history }: ActiveSaga, step: string) {
  return history.find((event) => event.kind === 'signalled' && event.step === step) as
    | Extract<SagaEvent, { kind: 'signalled' }>
    | undefined;
}

/** Who told a stuck saga to go on with this attempt, which may have been dispatched, or have ended, since. */
function operatorBefore({ history }: ActiveSaga, step: string, attempt: number): Carrier | undefined {
  const isOfAttempt = (event: SagaEvent) =>
    (event.kind === 'undone' ||
      event.kind === 'undo-failed' ||
      (event.kind === 'dispatched' && event.undo)) &&
    event.step === step &&
    event.attempt === attempt;
  const begun = history.findIndex(isOfAttempt);
  const before = begun < 0 ? history : history.slice(0, begun);
  const last = before.findLast(({ kind }) => kind !== 'interrupted' && kind !== 'completed-late');
  return last?.kind === 'operator' ? last.carrier : undefined;
}

function errorAttributes(error: StoredError | undefined): Attributes {
  return error ? { [ERROR_TYPE]: error.type } : {};
}

function errorStatus(error: StoredError | undefined) {
  return error ? { status: { code: SpanStatusCode.ERROR, message: error.message } } : {};
}

/** What a later compensation is linked to: no more than the ids, because every event stores it. */
function traceparentOf(span: Span): Carrier {
  const { traceId, spanId, traceFlags } = span.spanContext();
  if (/^0+$/.test(traceId)) return {};
  return { traceparent: `00-${traceId}-${spanId}-${(traceFlags & 1) === 1 ? '01' : '00'}` };
}

export function onlyTraceparent({ traceparent }: Carrier): Carrier {
  return traceparent === undefined ? {} : { traceparent };
}

function asSampled({ traceparent }: Carrier): Carrier {
  return traceparent === undefined ? {} : { traceparent: traceparent.replace(/-0[0-9a-f]$/, '-01') };
}
