import { type Attributes, type Link, SpanKind, SpanStatusCode } from '@opentelemetry/api';
import { type Carrier, spanContextOf } from '../../shared/trace/carrier.ts';
import { emitReservedSpan } from '../../shared/trace/durable-span.ts';
import { links, linkTo } from '../../shared/trace/links.ts';
import { isSlow } from '../../shared/trace/release.ts';
import {
  ERROR_TYPE,
  SAGA_FAILED_STEP,
  SAGA_NAME,
  SAGA_OUTCOME,
  SAGA_STEP,
  SAGA_VERSION,
  SAGA_WAIT_MS,
  SAMPLING_KEPT,
} from '../../shared/trace/semconv.ts';
import type { ActiveSaga } from './active-saga.ts';
import {
  type AttemptEnded,
  type AttemptFacts,
  type EndEvent,
  emitAttempt,
  kindOf,
  nameOf,
  onlyTraceparent,
  reserveAttempt,
  signalOf,
} from './attempt-spans.ts';
import type { AttemptSpan, SagaEvent } from './event.ts';
import type { SagaState } from './machine.ts';
import { signalWaitMs } from './waits.ts';

/**
 * Emits the saga's span: at its end, and when it is stuck, which may last.
 *
 * When the process that began the saga died, its request may never have been reported, and in a trace that was not sampled
 * it never is: the saga is then a root in the request's trace, links to it, and is told whole, from the journal. Of sagas
 * that were not sampled those are told that failed, in which an attempt was kept (attempt-spans.ts: S4), or that were slow
 * without the time in which they waited for a signal. A job that lay in a queue made its order slow, and no span of a worker
 * says so.
 */
export function tellSaga(saga: ActiveSaga, state: SagaState, endMs: number): void {
  const outcome = state.phase;
  const isFailed = outcome !== 'confirmed';
  const waitMs = saga.history.reduce((sum, event) => sum + (('waitMs' in event && event.waitMs) || 0), 0);
  const isLost =
    !wasSampled(saga.span.self) &&
    (isFailed || saga.history.some(wasKept) || isSlow(endMs - saga.span.startMs - signalWaitMs(saga)));
  const isRoot = isLost || state.wasTakenOver;
  emitReservedSpan(saga.span, {
    endMs,
    asRoot: isRoot,
    ...(isLost && { sampled: true }),
    attributes: {
      [SAGA_NAME]: saga.definition.name,
      [SAGA_VERSION]: saga.definition.version,
      [SAGA_OUTCOME]: outcome,
      [SAGA_WAIT_MS]: waitMs,
      ...(isLost && { [SAMPLING_KEPT]: 'journal' }),
      ...(state.failure && {
        [SAGA_FAILED_STEP]: state.failure.step,
        [ERROR_TYPE]: state.failure.error.type,
      }),
    },
    links: sagaLinks(saga, state, isRoot),
    ...(isFailed && {
      status: { code: SpanStatusCode.ERROR, message: state.failure?.error.message ?? outcome },
    }),
    events: saga.history.flatMap(sagaEvents),
  });
  if (isRoot) retell(saga, { sampled: isLost, all: state.wasTakenOver });
}

/** Of a saga that was not sampled: the attempt failed, was slow, or undid something. */
function wasKept(event: SagaEvent): boolean {
  return 'endMs' in event && spanContextOf(event.span) !== undefined && wasSampled(event.span);
}

function sagaLinks(saga: ActiveSaga, state: SagaState, isRoot: boolean): Link[] {
  const { failure } = state;
  const failedStep = failure && state.steps.find(({ name }) => name === failure.step);
  return links(
    linkTo(spanContextOf(failedStep?.span), 'failed-step'),
    isRoot ? linkTo(spanContextOf(saga.span.parent), 'caused-by') : undefined,
    ...saga.history.map((event) =>
      event.kind === 'signalled' || event.kind === 'operator'
        ? linkTo(spanContextOf(event.carrier), 'caused-by')
        : undefined,
    ),
  );
}

function sagaEvents(event: SagaEvent): { name: string; timeMs: number; attributes: Attributes }[] {
  switch (event.kind) {
    case 'suspended':
    case 'signalled':
      return [{ name: event.kind, timeMs: event.atMs, attributes: { [SAGA_STEP]: event.step } }];
    case 'interrupted':
      return [
        { name: event.kind, timeMs: event.atMs, attributes: { 'saga.interrupted.cause': event.cause } },
      ];
    default:
      return [];
  }
}

/**
 * The journal is the trace of last resort: every attempt with its true ids and times. Of a saga that was taken over, the
 * process that died may have taken spans with it; of one that failed unsampled there are few, so the others are sampled now.
 */
function retell(
  saga: ActiveSaga,
  { sampled, all }: { readonly sampled: boolean; readonly all: boolean },
): void {
  for (const event of saga.history) {
    if (!('endMs' in event)) continue;
    const isTold = sampled && !all && wasKept(event);
    const facts = { kind: kindOf(saga, event), step: event.step, attempt: event.attempt };
    const error = 'error' in event ? event.error : undefined;
    const { endMs, waitMs } = event;
    if (!isTold) retellAttempt(saga, facts, event, { endMs, waitMs, error, sampled });
    const resume = facts.kind === 'step' ? resumeOf(saga, event) : undefined;
    if (resume && !(sampled && !all && wasSampled(resume.span)))
      retellAttempt(saga, { ...facts, kind: 'resume' }, resume, { endMs, error, sampled });
  }
}

function retellAttempt(
  saga: ActiveSaga,
  facts: AttemptFacts,
  { span, startMs }: Pick<AttemptSpan, 'span' | 'startMs'>,
  ended: AttemptEnded,
): void {
  if (!spanContextOf(span)) return; // nothing was traced then
  const [name, self, parent] = [nameOf(saga, facts), { ...saga.span.self, ...span }, saga.span.self];
  emitAttempt(saga, facts, { name, kind: SpanKind.INTERNAL, startMs, self, parent }, ended);
}

/** The resume that ended together with its step. Older events do not tell it: it began when the signal was taken, or later. */
function resumeOf(saga: ActiveSaga, { step, attempt, resume }: EndEvent): AttemptSpan['resume'] {
  if (resume) return resume;
  const signal = signalOf(saga, step);
  if (!signal) return undefined;
  const { self, startMs } = reserveAttempt(saga, { kind: 'resume', step, attempt }, signal.atMs);
  return { span: onlyTraceparent(self), startMs };
}

function wasSampled(self: Carrier): boolean {
  const flags = spanContextOf(self)?.traceFlags;
  return flags === undefined || (flags & 1) === 1;
}
