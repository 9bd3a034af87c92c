import { type Context, trace } from '@opentelemetry/api';

/** The flags that Trace Context defines: sampled, and random trace id. */
const KNOWN_FLAGS = 0x03;

/**
 * The context with the flags of its span reduced to those that are defined, as Trace Context asks of whoever passes them
 * on. OpenTelemetry's propagator writes only one digit correctly: a caller's `ff` would leave as a malformed `0ff`.
 */
export function withKnownFlags(from: Context): Context {
  const span = trace.getSpanContext(from);
  if (!span || (span.traceFlags & ~KNOWN_FLAGS) === 0) return from;
  return trace.setSpanContext(from, { ...span, traceFlags: span.traceFlags & KNOWN_FLAGS });
}
