import type { IncomingMessage } from 'node:http';
import { context, propagation, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';

/**
 * Runs a request in its SERVER span, a child of the caller's. `work` says with what status it was answered; undefined: the
 * connection broke.
 *
 * `route` is a pattern and never what a caller made up: there are only so many span names.
 */
export async function inServerSpan(
  request: IncomingMessage,
  route: string,
  work: () => Promise<number | undefined>,
): Promise<void> {
  const caller = propagation.extract(ROOT_CONTEXT, request.headers);
  const method = request.method ?? '';
  const attributes = { 'http.request.method': method, 'http.route': route };
  const span = trace
    .getTracer('partners-sandbox')
    .startSpan(`${method} ${route}`, { kind: SpanKind.SERVER, attributes }, caller);
  try {
    const status = await context.with(trace.setSpan(caller, span), work);
    if (status !== undefined) span.setAttribute('http.response.status_code', status);
    if (status === undefined || status >= 500) {
      span.setAttribute('error.type', status === undefined ? 'connection-broken' : String(status));
      span.setStatus({ code: SpanStatusCode.ERROR });
    }
  } finally {
    span.end();
  }
}
