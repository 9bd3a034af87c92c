import { type Tracer, type TracerProvider, trace } from '@opentelemetry/api';
import { SEMCONV_VERSION } from './semconv.ts';

const SCHEMA_URL = `https://opentelemetry.io/schemas/${SEMCONV_VERSION}`;

let provider: TracerProvider | undefined;
let cached: Tracer | undefined;

/** Throughline's tracer, from whatever provider is registered now. */
export function tracer(): Tracer {
  const registered = trace.getTracerProvider();
  // A tracer clings to the provider that it first met, and telemetry may be stopped and started anew.
  if (!cached || provider !== registered) {
    provider = registered;
    cached = registered.getTracer('throughline', undefined, { schemaUrl: SCHEMA_URL });
  }
  return cached;
}
