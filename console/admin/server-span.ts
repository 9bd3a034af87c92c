import type { IncomingMessage } from 'node:http';
import {
  context,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { links, linkTo } from '../../shared/index.ts';
import { tracer } from '../../shared/trace/tracer.ts';

export interface ServerSpanOptions {
  /** A pattern and never what a caller made up: there are only so many span names. */
  readonly route: string;
  /** Continue the trace that the caller names. Otherwise the request is a new trace, and the caller's span is linked. */
  readonly trustTraceparent: boolean;
}

/** Runs an operator's request in its SERVER span. */
export async function inServerSpan(
  request: IncomingMessage,
  { route, trustTraceparent }: ServerSpanOptions,
  work: (span: Span) => Promise<void>,
): Promise<void> {
  const caller = propagation.extract(ROOT_CONTEXT, request.headers);
  const parent = trustTraceparent ? caller : ROOT_CONTEXT;
  const method = request.method ?? '';
  const span = tracer().startSpan(
    `${method} ${route}`,
    {
      kind: SpanKind.SERVER,
      attributes: { 'http.request.method': method, 'http.route': route },
      links: trustTraceparent ? [] : links(linkTo(trace.getSpanContext(caller), 'caused-by')),
    },
    parent,
  );
  try {
    await context.with(trace.setSpan(parent, span), work, undefined, span);
  } finally {
    span.end();
  }
}

/** Says how the request was answered. */
export function setStatus(span: Span, status: number): void {
  span.setAttribute('http.response.status_code', status);
  if (status < 500) return;
  span.setAttribute('error.type', String(status));
  span.setStatus({ code: SpanStatusCode.ERROR });
}
