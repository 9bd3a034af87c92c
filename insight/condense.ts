import type { SpanLinkRecord, SpanRecord } from './span-record.ts';

/**
 * Leaves out what instrumentation libraries add below or between the spans that tell the story (database statements, HTTP
 * requests of a client's call, Express's handler), unless it failed and the span above it does not tell so. What hung on a
 * span that is left out, or was linked to it, now is with the span above it.
 */
export function condense(spans: readonly SpanRecord[]): SpanRecord[] {
  const failed = new Set(
    spans
      .filter(({ status }) => status.code === 'ERROR')
      .map(({ traceId, spanId }) => keyOf(traceId, spanId)),
  );
  const isTold = ({ traceId, spanId, parentSpanId }: SpanRecord) =>
    !failed.has(keyOf(traceId, spanId)) ||
    (parentSpanId !== undefined && failed.has(keyOf(traceId, parentSpanId)));
  const left = new Map(
    spans
      .filter((span) => isPlumbing(span) && isTold(span))
      .map((span) => [keyOf(span.traceId, span.spanId), span]),
  );
  const above = (traceId: string, spanId: string | undefined): string | undefined => {
    let kept = spanId;
    // No longer than there are spans: a trace may be malformed, with parents in a circle.
    for (let hops = left.size; hops > 0 && kept !== undefined; hops--) {
      const plumbing = left.get(keyOf(traceId, kept));
      if (!plumbing) break;
      kept = plumbing.parentSpanId;
    }
    return kept;
  };
  return spans
    .filter((span) => !left.has(keyOf(span.traceId, span.spanId)))
    .map((span) => {
      const { parentSpanId: _, ...rest } = span;
      const parentSpanId = above(span.traceId, span.parentSpanId);
      const links = span.links.map(
        (link): SpanLinkRecord => ({ ...link, spanId: above(link.traceId, link.spanId) ?? link.spanId }),
      );
      return { ...rest, links, ...(parentSpanId !== undefined && { parentSpanId }) };
    });
}

function isPlumbing({ name, attributes }: SpanRecord): boolean {
  if (attributes['db.system.name'] !== undefined || attributes['db.system'] !== undefined) return true;
  if (attributes['express.type'] !== undefined) return true;
  return name === attributes['http.request.method'];
}

function keyOf(traceId: string, spanId: string): string {
  return `${traceId}/${spanId}`;
}
