import type { SpanEventRecord, SpanKindName, SpanLinkRecord, SpanRecord } from '../insight/index.ts';
import { asAttributes, asEpochMs, asHex, asList, asObject, asText, type OtlpObject } from './otlp-value.ts';

export interface ReceivedSpans {
  readonly spans: SpanRecord[];
  /** Spans without a valid name of their own (trace id, span id, parent id): they are left out. */
  readonly rejectedSpans: number;
}

/**
 * Reads an ExportTraceServiceRequest, decoded from protobuf or parsed from OTLP/JSON.
 *
 * Errors: MalformedOtlpError when the request has another shape. One span with an invalid id rejects only that span.
 * Source: OTLP 1.x, "JSON Protobuf encoding" (hex ids, 64-bit integers as decimal strings) and "Partial success".
 */
export function readSpans(request: unknown): ReceivedSpans {
  const spans: SpanRecord[] = [];
  let rejectedSpans = 0;
  for (const group of asList(asObject(request, 'request').resourceSpans, 'resourceSpans')) {
    const service = serviceOf(group);
    for (const scope of asList(group.scopeSpans, 'scopeSpans')) {
      for (const raw of asList(scope.spans, 'spans')) {
        const span = readSpan(raw, service);
        if (span) spans.push(span);
        else rejectedSpans += 1;
      }
    }
  }
  return { spans, rejectedSpans };
}

function serviceOf(group: OtlpObject): string {
  const name = asAttributes(asObject(group.resource, 'resource').attributes)['service.name'];
  return typeof name === 'string' && name !== '' ? name : 'unknown_service';
}

function readSpan(raw: OtlpObject, service: string): SpanRecord | undefined {
  const traceId = validId(raw.traceId, 32);
  const spanId = validId(raw.spanId, 16);
  const parentSpanId = readParentId(raw.parentSpanId);
  if (traceId === undefined || spanId === undefined || parentSpanId === undefined) return undefined;
  return {
    traceId,
    spanId,
    ...(parentSpanId !== '' && { parentSpanId }),
    name: asText(raw.name, 'name'),
    kind: KINDS.get(raw.kind) ?? 'INTERNAL',
    service,
    startMs: asEpochMs(raw.startTimeUnixNano, 'startTimeUnixNano'),
    endMs: asEpochMs(raw.endTimeUnixNano, 'endTimeUnixNano'),
    status: readStatus(asObject(raw.status, 'status')),
    attributes: asAttributes(raw.attributes),
    events: asList(raw.events, 'events').map(readEvent),
    links: asList(raw.links, 'links').flatMap(readLink),
  };
}

/** OTLP/JSON asks for the enumeration's number; some senders write its name. */
const KINDS: ReadonlyMap<unknown, SpanKindName> = new Map<unknown, SpanKindName>(
  (['INTERNAL', 'SERVER', 'CLIENT', 'PRODUCER', 'CONSUMER'] as const).flatMap((kind, index) => [
    [index + 1, kind],
    [`SPAN_KIND_${kind}`, kind],
  ]),
);

const STATUS_CODES: ReadonlyMap<unknown, 'OK' | 'ERROR'> = new Map([
  [1 as unknown, 'OK'],
  ['STATUS_CODE_OK', 'OK'],
  [2, 'ERROR'],
  ['STATUS_CODE_ERROR', 'ERROR'],
]);

function readStatus(raw: OtlpObject): SpanRecord['status'] {
  const message = asText(raw.message, 'status message');
  return { code: STATUS_CODES.get(raw.code) ?? 'UNSET', ...(message !== '' && { message }) };
}

function readEvent(raw: OtlpObject): SpanEventRecord {
  return {
    name: asText(raw.name, 'event name'),
    timeMs: asEpochMs(raw.timeUnixNano, 'timeUnixNano'),
    attributes: asAttributes(raw.attributes),
  };
}

/** A link without a valid target says nothing: it is dropped, the span is worth keeping. */
function readLink(raw: OtlpObject): readonly SpanLinkRecord[] {
  const traceId = validId(raw.traceId, 32);
  const spanId = validId(raw.spanId, 16);
  if (traceId === undefined || spanId === undefined) return [];
  return [{ traceId, spanId, attributes: asAttributes(raw.attributes) }];
}

function validId(value: unknown, digits: number): string | undefined {
  const hex = asHex(value);
  return hex?.length === digits && !/^0+$/.test(hex) ? hex : undefined;
}

/** Shape: hex digits; '' for a root (absent, empty, or all zeros as some senders write); undefined when invalid. */
function readParentId(value: unknown): string | undefined {
  const hex = asHex(value);
  if (hex === undefined || hex === '' || /^0{16}$/.test(hex)) return hex && '';
  return hex.length === 16 ? hex : undefined;
}
