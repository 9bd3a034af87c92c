import { type Tracer, type TracerProvider, trace } from '@opentelemetry/api';

let provider: TracerProvider | undefined;
let cached: Tracer | undefined;

/** Throughline's tracer, from whatever provider is registered now. */
export function tracer(): Tracer {
  const registered = trace.getTracerProvider();
  // A tracer clings to the provider that it first met, and telemetry may be stopped and started anew.
  if (!cached || provider !== registered) {
    provider = registered;
    cached = registered.getTracer('throughline');
  }
  return cached;
}
