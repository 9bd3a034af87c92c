import { type Span, SpanStatusCode } from '@opentelemetry/api';
import { grpcCodeName } from '../pubsub/grpc-status.ts';
import { scrub } from '../scrub.ts';
import { ERROR_TYPE } from './semconv.ts';

/** What `error.type` says of an unknown thrown value: its stable code, the name of its gRPC status, else its class, else `_OTHER`. */
export function errorType(error: unknown): string {
  if (!(error instanceof Error)) return '_OTHER';
  const { code } = error as { code?: unknown };
  if (typeof code === 'string' && code.length > 0) return code;
  const grpcName = grpcCodeName(error);
  if (grpcName) return grpcName;
  return typeof error.name === 'string' && error.name.length > 0 ? error.name : '_OTHER';
}

/**
 * What an unknown thrown value says, without personal data and secrets (scrub.ts): it becomes a reason, in spans, dead letters
 * and the journal. Errors: none, whatever was thrown.
 */
export function errorMessage(error: unknown): string {
  try {
    return scrub(String(error instanceof Error ? error.message : error));
  } catch {
    return Object.prototype.toString.call(error);
  }
}

/** Records a failure: status, `error.type` and the exception event. */
export function recordError(span: Span, error: unknown): void {
  span.recordException(error instanceof Error ? error : new Error(errorMessage(error)));
  span.setStatus({ code: SpanStatusCode.ERROR, message: errorMessage(error) });
  span.setAttribute(ERROR_TYPE, errorType(error));
}
