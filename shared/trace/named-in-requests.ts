import { type Context, context, createContextKey, type SpanContext, trace } from '@opentelemetry/api';

const NAMED = createContextKey('throughline span named in requests');

/**
 * A context in which whatever is sent names the span that is active now as its parent, whichever spans instrumentation
 * begins in between.
 *
 * For calls that are made again after a crash: the call's own span is told by the next process under the same id, but a
 * try that was under way may have been the second, where the next process needs one only. Whoever was called would then
 * name a parent that nobody ever reports.
 */
export function nameInRequests(from: Context = context.active()): Context {
  const span = trace.getSpanContext(from);
  return span ? from.setValue(NAMED, span) : from;
}

/** Read by the propagator. Shape: undefined when the active span is named, as usual. */
export function namedInRequests(from: Context): SpanContext | undefined {
  return from.getValue(NAMED) as SpanContext | undefined;
}
