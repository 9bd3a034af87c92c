import type { SpanRecord } from './span-record.ts';

/**
 * One way in which an order's spans do not hang together.
 *
 * - `no-spans`: nothing bears the order key
 * - `orphan`: the parent was never reported, and is not declared external
 * - `circle`: the chain of parents leads back to the span itself
 * - `island`: neither a parent nor a link joins these spans to the rest
 * - `order-key-missing`: a span of the order does not bear its key
 * - `undoes-missing`, `undoes-unreported`, `undoes-wrong-step`: a compensation without its link, with a link to a
 *   span that was never reported, with a link to something else than the step that it undoes
 * - `original-ids-differ`: the two `saga.compensation.original_*` attributes do not repeat the link
 * - `send-missing`: a message was processed, and its span is not tied to the span that sent it
 */
export type Disconnection = NoSpans | BrokenSpan;

export interface NoSpans {
  readonly kind: 'no-spans';
  readonly message: string;
}

export interface BrokenSpan {
  readonly kind:
    | 'orphan'
    | 'circle'
    | 'island'
    | 'order-key-missing'
    | 'undoes-missing'
    | 'undoes-unreported'
    | 'undoes-wrong-step'
    | 'original-ids-differ'
    | 'send-missing';
  readonly span: SpanRecord;
  /** A sentence that names the span, its service and its ids. */
  readonly message: string;
}

export function broken(kind: BrokenSpan['kind'], span: SpanRecord, complaint: string): BrokenSpan {
  return { kind, span, message: `${describeSpan(span)} ${complaint}.` };
}

/** "process workspace-jobs" of worker (trace 4bf9…, span 00f0…) */
export function describeSpan(span: SpanRecord): string {
  return `"${span.name}" of ${span.service} (trace ${span.traceId}, span ${span.spanId})`;
}
