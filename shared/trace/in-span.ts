import { type Context, context, type Span, type SpanOptions, trace } from '@opentelemetry/api';
import { recordError } from './record-error.ts';
import { tracer } from './tracer.ts';

/** Runs `work` inside a new active span, which ends with it and bears its failure. */
export async function inSpan<T>(
  name: string,
  options: SpanOptions & { readonly parent?: Context },
  work: (span: Span) => Promise<T>,
): Promise<T> {
  const { parent = context.active(), ...spanOptions } = options;
  const span = tracer().startSpan(name, spanOptions, parent);
  try {
    return await context.with(trace.setSpan(parent, span), work, undefined, span);
  } catch (error) {
    recordError(span, error);
    throw error;
  } finally {
    span.end();
  }
}
