import { context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { ExportTraceServiceRequest } from '../../console/otlp-schema.ts';
import { serve } from './http-server.ts';

export interface SentTraces {
  /** Of the request's body, as the SDK wrote it. */
  readonly bytes: number;
  /** As a store gives them back: OTLP/JSON. */
  readonly stored: unknown;
}

/** Sends so many traces of two linked spans each through the SDK's own exporter, in one request, and keeps what it sent. */
export async function sendTraces(count: number): Promise<SentTraces> {
  let body = Buffer.alloc(0);
  const url = await serve(async (request, response) => {
    for await (const chunk of request) body = Buffer.concat([body, chunk as Buffer]);
    response.end();
  });
  const exporter = new OTLPTraceExporter({ url: `${url}/v1/traces` });
  const batch = { maxExportBatchSize: 2 * count, maxQueueSize: 2 * count };
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({ 'service.name': 'shop' }),
    spanProcessors: [new BatchSpanProcessor(exporter, batch)],
  });
  const tracer = provider.getTracer('test', '1.0.0');
  for (let number = 0; number < count; number++) {
    const root = tracer.startSpan('POST /orders', { kind: SpanKind.SERVER, root: true });
    root.setAttributes({ 'order.event_id': `O-${number}`, retries: number, share: 0.5, tags: ['a', 'b'] });
    const links = [{ context: root.spanContext(), attributes: { why: 'producer' } }];
    const below = trace.setSpan(context.active(), root);
    const child = tracer.startSpan('process workspace-jobs', { kind: SpanKind.CONSUMER, links }, below);
    child.addEvent('waited', { ms: 5 });
    child.setStatus({ code: SpanStatusCode.ERROR, message: 'not now' });
    child.end();
    root.end();
  }
  await provider.shutdown();
  return { bytes: body.length, stored: withHexIds(ExportTraceServiceRequest.decode(body).toJSON()) };
}

/** OTLP/JSON has ids as hexadecimal digits, protobuf's own JSON in base64. */
function withHexIds(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withHexIds);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) =>
      ['traceId', 'spanId', 'parentSpanId'].includes(key)
        ? [key, Buffer.from(String(inner), 'base64').toString('hex')]
        : [key, withHexIds(inner)],
    ),
  );
}
