import { ExportTraceServiceRequest } from './otlp-schema.ts';
import { asList, asObject, asText, type OtlpObject } from './otlp-value.ts';

export interface TraceSizes {
  readonly traces: number;
  readonly spans: number;
  /** As a sender would send them: OTLP in protobuf, before compression. */
  readonly bytes: number;
}

/**
 * How large stored traces are on the wire, to about five percent: stores leave out what is 0, the SDK does not.
 *
 * Shape: OTLP/JSON, an object with `resourceSpans`, as stores give traces back.
 * Errors: MalformedOtlpError when it has another shape.
 * Source: OTLP 1.x, "JSON Protobuf encoding" (ids are hexadecimal, which protobufjs does not expect).
 */
export function sizeOfTraces(stored: unknown): TraceSizes {
  const traceIds = new Set<string>();
  let spans = 0;
  const resourceSpans = asList(asObject(stored, 'answer').resourceSpans, 'resourceSpans').map((group) => ({
    ...group,
    scopeSpans: asList(group.scopeSpans, 'scopeSpans').map((scope) => ({
      ...scope,
      spans: asList(scope.spans, 'spans').map((span) => {
        traceIds.add(asText(span.traceId, 'traceId'));
        spans += 1;
        return { ...withBinaryIds(span), links: asList(span.links, 'links').map(withBinaryIds) };
      }),
    })),
  }));
  const message = ExportTraceServiceRequest.fromObject({ resourceSpans });
  return { traces: traceIds.size, spans, bytes: ExportTraceServiceRequest.encode(message).finish().length };
}

const IDS = ['traceId', 'spanId', 'parentSpanId'] as const;

function withBinaryIds(span: OtlpObject): OtlpObject {
  const ids = IDS.filter((name) => span[name] !== undefined).map((name) => [
    name,
    Buffer.from(asText(span[name], name), 'hex'),
  ]);
  return { ...span, ...Object.fromEntries(ids) };
}
