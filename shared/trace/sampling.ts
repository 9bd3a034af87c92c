import { hash } from 'node:crypto';
import {
  type Attributes,
  type Context,
  createContextKey,
  type Sampler,
  SamplingDecision,
  type SpanContext,
  TraceFlags,
  type TraceState,
  trace,
} from '@opentelemetry/api';
import { orderKeyOf } from './order-key.ts';
import { type OtValues, otValues, withOtValues } from './ot-trace-state.ts';
import { SAMPLING_KEPT } from './semconv.ts';

/**
 * One coin per order: whether an order's spans are kept follows from its key, in whichever trace and process they are.
 *
 * C1. The randomness of an order is the first 56 bits of the SHA-256 of its key (UTF-8). It is kept when that is not less
 *     than the threshold, (1 - keep) · 2^56. It crosses in `tracestate` as `ot=rv:…`, with `th:…` when it is kept, so that
 *     a sampler that knows no order keys decides the same.
 * C2. Where the parent bears this very randomness the coin was tossed already: its decision is followed, which may be to
 *     keep an order that the coin had dropped (a failed one, say).
 * C3. Where no order is known the parent's decision is followed; a root draws from the last 56 bits of its trace id.
 * C4. What is not kept is recorded all the same, for the decision at its end (tail.ts); its context says "not sampled".
 *
 * Source: OpenTelemetry, "TraceState: probability sampling" (rv, th); W3C Trace Context level 2, "random trace id".
 */
export interface SamplingOptions {
  /** Share of the orders that is kept whatever becomes of them, 0 to 1. */
  readonly keep: number;
  /** Work that took as long as this is kept, in ms. Default 2_000. */
  readonly slowMs?: number;
}

export const DEFAULT_SLOW_MS = 2_000;

/** Rejects everything: one more than any randomness. */
const NEVER = 'g';

/** Shape: 14 hex digits, which sort as the numbers do; about four of them count. */
export function thresholdOf(keep: number): string {
  if (keep <= 0) return NEVER;
  if (keep >= 1) return '0'.repeat(14);
  const exact = BigInt(Math.round((1 - keep) * 2 ** 56));
  const hex = exact.toString(16).padStart(14, '0');
  const leading = /^f*/.exec(hex)?.[0].length ?? 0;
  const dropped = BigInt(4 * Math.max(0, 14 - leading - 4));
  const rounded = dropped === 0n ? exact : ((exact + (1n << (dropped - 1n))) >> dropped) << dropped;
  return rounded >= 1n << 56n ? hex : rounded.toString(16).padStart(14, '0');
}

const REMEMBERED = 10_000;
let remembered = new Map<string, string>();

/** C1. Shape: 14 hex digits. */
export function randomnessOfOrder(orderKey: string): string {
  let rv = remembered.get(orderKey);
  if (rv === undefined) {
    if (remembered.size >= REMEMBERED) remembered = new Map();
    rv = hash('sha256', orderKey, 'hex').slice(0, 14);
    remembered.set(orderKey, rv);
  }
  return rv;
}

/** C3. */
function randomnessOfTrace(traceId: string): string {
  return traceId.slice(18).toLowerCase();
}

/** Whether the coin of this order says that it is kept. */
export function isOrderKept(orderKey: string, threshold: string): boolean {
  return randomnessOfOrder(orderKey) >= threshold;
}

const KEEP = createContextKey('throughline keep');

/** Why work is kept although the coin had dropped it; written to its spans as `throughline.kept`. */
export type KeptBecause = 'error' | 'slow' | 'retried' | 'compensates' | 'journal';

/** A context whose spans are kept, whatever the coin said: it is known already that something went wrong. */
export function keeping(from: Context, because: KeptBecause): Context {
  return from.setValue(KEEP, because);
}

/** The parent's context, marked as kept. */
export function asKept(span: SpanContext): SpanContext {
  return { ...span, traceFlags: span.traceFlags | TraceFlags.SAMPLED };
}

export function isSampled(span: SpanContext | undefined): boolean {
  return span !== undefined && (span.traceFlags & TraceFlags.SAMPLED) !== 0;
}

/** Errors: none, whatever a `tracestate` holds. */
export function createOrderSampler({ keep }: SamplingOptions): Sampler {
  const threshold = thresholdOf(keep);
  return {
    shouldSample(context, traceId) {
      const parent = trace.getSpanContext(context);
      const state = parent?.traceState;
      const because = context.getValue(KEEP);
      if (because !== undefined) return kept(state, isSampled(parent) ? undefined : String(because));
      const orderKey = orderKeyOf(context);
      if (orderKey === undefined)
        return parent ? follow(parent) : draw(randomnessOfTrace(traceId), threshold);
      const values = otValues(state);
      const rv = randomnessOfOrder(orderKey);
      // C2. A remote parent without any was sampled by somebody who knows no coins: a trace that was begun stays whole.
      if (parent && (values.rv === rv || (values.rv === undefined && parent.isRemote && isSampled(parent))))
        return follow(parent);
      return toss(rv, threshold, state, values);
    },
    toString: () => `OrderSampler{${keep}}`,
  };
}

function follow(parent: SpanContext) {
  return { decision: isSampled(parent) ? SamplingDecision.RECORD_AND_SAMPLED : SamplingDecision.RECORD };
}

function kept(state: TraceState | undefined, because: string | undefined) {
  const attributes: Attributes = because === undefined ? {} : { [SAMPLING_KEPT]: because };
  return {
    decision: SamplingDecision.RECORD_AND_SAMPLED,
    attributes,
    ...(state && { traceState: state }),
  };
}

/** A root without an order: the trace id is its randomness, and need not be repeated. */
function draw(randomness: string, threshold: string) {
  if (randomness < threshold) return { decision: SamplingDecision.RECORD };
  const traceState = withOtValues(undefined, { rv: undefined, th: threshold, others: [] });
  return { decision: SamplingDecision.RECORD_AND_SAMPLED, ...(traceState && { traceState }) };
}

function toss(rv: string, threshold: string, state: TraceState | undefined, { others }: OtValues) {
  const isKept = rv >= threshold;
  const traceState = withOtValues(state, { rv, th: isKept ? threshold : undefined, others });
  return {
    decision: isKept ? SamplingDecision.RECORD_AND_SAMPLED : SamplingDecision.RECORD,
    ...(traceState && { traceState }),
  };
}
