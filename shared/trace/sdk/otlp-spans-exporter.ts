import type { Agent } from 'node:http';
import { OTLPExporterBase } from '@opentelemetry/otlp-exporter-base';
import {
  convertLegacyHttpOptions,
  createOtlpHttpExportDelegate,
} from '@opentelemetry/otlp-exporter-base/node-http';
import { ProtobufTraceSerializer, TraceExporterMetricsHelper } from '@opentelemetry/otlp-transformer';
import { countLoss } from '../span-losses.ts';
import { type BoundedExporter, boundExporter } from './bounded-exporter.ts';

type Serializer = typeof ProtobufTraceSerializer;
type Spans = Parameters<Serializer['serializeRequest']>[0];

export interface OtlpSpansOptions {
  /** `…/v1/traces`. */
  readonly url: string;
  /** As of BoundedExporterOptions. */
  readonly timeoutMs: number;
  /** Spans in one request, at most. */
  readonly maxSpans: number;
  /** Exports at once; beyond, they fail. */
  readonly concurrencyLimit: number;
}

/**
 * Spans over OTLP/HTTP, as the SDK's exporter sends them; besides, what the receiver says it rejected is counted
 * (`partial_success`, which the SDK's only logs), and no receiver holds on to an export.
 */
export function createOtlpSpansExporter(options: OtlpSpansOptions): BoundedExporter<Spans[number]> {
  const { url, timeoutMs, maxSpans, concurrencyLimit } = options;
  let agent: Agent | undefined;
  const http = convertLegacyHttpOptions(
    {
      url,
      timeoutMillis: timeoutMs,
      concurrencyLimit,
      httpAgentOptions: async (protocol) => {
        const module = await (protocol === 'http:' ? import('node:http') : import('node:https'));
        agent = new module.Agent({ keepAlive: true });
        return agent;
      },
    },
    'TRACES',
    'v1/traces',
    { 'Content-Type': 'application/x-protobuf' },
  );
  const serializer: Serializer = {
    serializeRequest: (spans) => ProtobufTraceSerializer.serializeRequest(spans),
    deserializeResponse(data) {
      const response = ProtobufTraceSerializer.deserializeResponse(data);
      // It is a stranger's number: no more can be lost than there were.
      const rejected = Number(response.partialSuccess?.rejectedSpans ?? 0);
      if (rejected > 0) countLoss('rejected', Math.min(rejected, maxSpans));
      return response;
    },
  };
  const delegate = createOtlpHttpExportDelegate(
    http,
    serializer,
    'otlp_http_span_exporter',
    TraceExporterMetricsHelper,
    undefined,
  );
  return boundExporter(new OTLPExporterBase<Spans>(delegate), { timeoutMs, abort: () => agent?.destroy() });
}
