import { type Context, context, type Span, type SpanOptions, trace } from '@opentelemetry/api';
import { light } from './light-context.ts';
import { recordError } from './record-error.ts';
import { deriveIds, seedOfNamed, startWithIds, withDerivedIds } from './span-ids.ts';
import { tracer } from './tracer.ts';

/**
 * Runs `work` inside a new active span, which ends with it and bears its failure. In work that may be repeated after a crash
 * the span has the same id each time (span-ids.ts).
 */
export async function inSpan<T>(
  name: string,
  options: SpanOptions & { readonly parent?: Context },
  work: (span: Span) => Promise<T>,
): Promise<T> {
  const { parent = context.active(), ...spanOptions } = options;
  const start = () => tracer().startSpan(name, spanOptions, parent);
  const seed = seedOfNamed(name, parent);
  const span = seed === undefined ? start() : startWithIds(deriveIds(seed), start);
  const own = trace.setSpan(light(parent), span);
  try {
    return await context.with(seed === undefined ? own : withDerivedIds(own, seed), work, undefined, span);
  } catch (error) {
    recordError(span, error);
    throw error;
  } finally {
    span.end();
  }
}
