import type { Attributes, HrTime, SpanContext, SpanStatus } from '@opentelemetry/api';
import { SpanStatusCode } from '@opentelemetry/api';
import { otValues } from './ot-trace-state.ts';
import {
  asKept,
  DEFAULT_SLOW_MS,
  isOrderKept,
  isSampled,
  type KeptBecause,
  randomnessOfOrder,
  type SamplingOptions,
  thresholdOf,
} from './sampling.ts';
import { ORDER_KEY, SAMPLING_KEPT, SPAN_WAITS } from './semconv.ts';
import { countLoss } from './span-losses.ts';

/** As much of a span as the decision at its end needs. */
export interface TailSpan {
  spanContext(): SpanContext;
  readonly parentSpanContext?: SpanContext;
  readonly attributes: Attributes;
  readonly status: SpanStatus;
  readonly startTime: HrTime;
  readonly duration: HrTime;
  readonly ended: boolean;
}

/**
 * `all`: the whole work, against the coin if there is a reason; `own`: what the coin kept; `none`: nothing of it.
 */
export type Verdict =
  | { readonly kind: 'all'; readonly because?: KeptBecause }
  | { readonly kind: 'own' | 'none' };

/**
 * `hold_full`: too many spans waited for a decision. `work_too_large`: its work was not held to its end, and then failed or
 * was slow.
 */
export type DropReason = 'coin' | 'hold_full' | 'work_too_large';

/** Decides on a piece of work of this process (span-hold.ts) once it is known how it went. */
export interface Tail<Span> {
  /** `because`: what the caller knows of the work that its spans do not say yet. */
  judge(root: Span, spans: readonly Span[], because?: KeptBecause): Verdict;
  /** Whether the span is handed on; then its context says that it was sampled. */
  admits(span: Span, verdict: Verdict): boolean;
  /** From now on the span's context says that it is kept: what it has caused afterwards is sampled as well. */
  keep(span: Span, verdict: Verdict): void;
  /** Counts spans that are not handed on; what was not the coin's doing is lost, and told as such (span-losses.ts). */
  drop(reason: DropReason, spans?: number): void;
  readonly dropped: Readonly<Record<DropReason, number>>;
  readonly kept: Readonly<Record<KeptBecause, number>>;
}

/**
 * T1. Work in which anything failed, or whose root took `slowMs` and more, is kept whole.
 * T2. A root that learnt only in its course whose order it is (a request) is kept or dropped with that order, unless a
 *     caller elsewhere had it sampled.
 * T3. Otherwise the coin decides span by span: a request that places a hundred orders keeps those of them that are kept.
 */
export function createTail<Span extends TailSpan>({
  keep,
  slowMs = DEFAULT_SLOW_MS,
}: SamplingOptions): Tail<Span> {
  const threshold = thresholdOf(keep);
  const dropped: Record<DropReason, number> = { coin: 0, hold_full: 0, work_too_large: 0 };
  const kept: Record<KeptBecause, number> = { error: 0, slow: 0, retried: 0, compensates: 0, journal: 0 };
  const mark = (span: Span, because: KeptBecause | undefined) => {
    const context = span.spanContext();
    if (isSampled(context)) return;
    Object.assign(context, asKept(context)); // the span's own, which carriers are made of
    if (because === undefined) return;
    span.attributes[SAMPLING_KEPT] = because;
    kept[because] += 1;
  };
  return {
    dropped,
    kept,
    drop: (reason, spans = 1) => {
      dropped[reason] += spans;
      if (reason !== 'coin') countLoss(reason, spans);
    },
    judge(root, spans, because) {
      if (because !== undefined) return { kind: 'all', because };
      if (hasFailed(root) || spans.some(hasFailed)) return { kind: 'all', because: 'error' };
      if (root.attributes[SPAN_WAITS] !== true && millisecondsOf(root) >= slowMs)
        return { kind: 'all', because: 'slow' };
      const learnt = learntOrder(root);
      if (learnt !== undefined) return { kind: isOrderKept(learnt, threshold) ? 'all' : 'none' };
      const isOwn = isSampled(root.spanContext()) || spans.some((span) => isSampled(span.spanContext()));
      return { kind: isOwn ? 'own' : 'none' };
    },
    admits(span, verdict) {
      const isAdmitted = verdict.kind === 'all' || (verdict.kind === 'own' && isOwn(span));
      if (isAdmitted) mark(span, verdict.kind === 'all' ? verdict.because : undefined);
      return isAdmitted;
    },
    keep: (span, verdict) => {
      if (verdict.kind === 'all') mark(span, verdict.because);
    },
  };
}

export function hasFailed({ status }: TailSpan): boolean {
  return status.code === SpanStatusCode.ERROR;
}

function millisecondsOf({ ended, duration, startTime }: TailSpan): number {
  if (ended) return duration[0] * 1e3 + duration[1] / 1e6;
  return Date.now() - (startTime[0] * 1e3 + startTime[1] / 1e6);
}

/** T2. Shape: undefined when the coin that was tossed at its start was this order's, or was not to be tossed here. */
function learntOrder(span: TailSpan): string | undefined {
  const { attributes, parentSpanContext } = span;
  const key = attributes[ORDER_KEY];
  if (typeof key !== 'string') return undefined;
  if (parentSpanContext?.isRemote && isSampled(parentSpanContext)) return undefined;
  return otValues(span.spanContext().traceState).rv === randomnessOfOrder(key) ? undefined : key;
}

/** T3. Sampled by its own coin; what belongs to no order goes with what is sampled beside it. */
function isOwn(span: TailSpan): boolean {
  return isSampled(span.spanContext()) || span.attributes[ORDER_KEY] === undefined;
}
