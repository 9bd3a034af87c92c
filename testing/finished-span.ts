import type { HrTime, SpanContext, SpanKind, SpanStatusCode } from '@opentelemetry/api';
import type { SpanKindName, SpanRecord } from '../insight/index.ts';

/** What we read of the SDK's `ReadableSpan`. */
export interface FinishedSpan {
  readonly name: string;
  readonly kind: SpanKind;
  readonly spanContext: () => SpanContext;
  readonly parentSpanContext?: SpanContext | undefined;
  readonly startTime: HrTime;
  readonly endTime: HrTime;
  readonly status: { readonly code: SpanStatusCode; readonly message?: string | undefined };
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly events: readonly {
    readonly name: string;
    readonly time: HrTime;
    readonly attributes?: Readonly<Record<string, unknown>> | undefined;
  }[];
  readonly links: readonly {
    readonly context: SpanContext;
    readonly attributes?: Readonly<Record<string, unknown>> | undefined;
  }[];
  readonly resource: { readonly attributes: Readonly<Record<string, unknown>> };
}

/** In the order of the API's `SpanKind`. */
const KINDS: readonly SpanKindName[] = ['INTERNAL', 'SERVER', 'CLIENT', 'PRODUCER', 'CONSUMER'];
/** In the order of the API's `SpanStatusCode`. */
const STATUS_CODES = ['UNSET', 'OK', 'ERROR'] as const;

/** The same record that the OTLP receiver makes of the same span; the attributes are copied. */
export function recordOf(span: FinishedSpan): SpanRecord {
  const { traceId, spanId } = span.spanContext();
  const service = span.resource.attributes['service.name'];
  const { message } = span.status;
  return {
    traceId,
    spanId,
    ...(span.parentSpanContext && { parentSpanId: span.parentSpanContext.spanId }),
    name: span.name,
    kind: KINDS[span.kind] ?? 'INTERNAL',
    service: typeof service === 'string' && service !== '' ? service : 'unknown_service',
    startMs: epochMs(span.startTime),
    endMs: epochMs(span.endTime),
    status: {
      code: STATUS_CODES[span.status.code] ?? 'UNSET',
      ...(message !== undefined && message !== '' && { message }),
    },
    attributes: { ...span.attributes },
    events: span.events.map((event) => ({
      name: event.name,
      timeMs: epochMs(event.time),
      attributes: { ...event.attributes },
    })),
    links: span.links.map((link) => ({
      traceId: link.context.traceId,
      spanId: link.context.spanId,
      attributes: { ...link.attributes },
    })),
  };
}

function epochMs([seconds, nanos]: HrTime): number {
  // Whole milliseconds first: the sum then rounds once, as it does for spans that came over OTLP.
  return seconds * 1_000 + Math.floor(nanos / 1e6) + (nanos % 1e6) / 1e6;
}
