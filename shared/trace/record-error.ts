import { type Span, SpanStatusCode } from '@opentelemetry/api';
import { ERROR_TYPE } from './semconv.ts';

/** What `error.type` says of an unknown thrown value: its stable code, else its class, else `_OTHER`. */
export function errorType(error: unknown): string {
  if (!(error instanceof Error)) return '_OTHER';
  const { code } = error as { code?: unknown };
  if (typeof code === 'string' && code.length > 0) return code;
  return error.name;
}

export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Records a failure: status, `error.type` and the exception event. */
export function recordError(span: Span, error: unknown): void {
  span.recordException(error instanceof Error ? error : new Error(String(error)));
  span.setStatus({ code: SpanStatusCode.ERROR, message: errorMessage(error) });
  span.setAttribute(ERROR_TYPE, errorType(error));
}
