import type { ReadableSpan } from '@opentelemetry/sdk-trace-base';
import type { TelemetryOptions } from '../telemetry.ts';
import { type BoundedExporter, boundExporter } from './bounded-exporter.ts';
import { createOtlpSpansExporter } from './otlp-spans-exporter.ts';

/** A flush sends every batch of a full queue side by side; the exporter's own limit of 30 would drop the last of them. */
const CONCURRENT_EXPORTS = 1_000;

/** Each with a limit to how long it is waited for. */
export function boundedExporters({
  exporters = [],
  otlpEndpoint,
  batch = {},
}: TelemetryOptions): BoundedExporter<ReadableSpan>[] {
  const { exportTimeoutMs: timeoutMs = 10_000, maxExportBatchSize: maxSpans = 2_048 } = batch;
  const bounded = exporters.map((exporter) => boundExporter<ReadableSpan>(exporter, { timeoutMs }));
  if (otlpEndpoint) {
    const url = signalUrl(otlpEndpoint, 'v1/traces');
    const options = { url, timeoutMs, maxSpans, concurrencyLimit: CONCURRENT_EXPORTS };
    bounded.push(createOtlpSpansExporter(options));
  }
  return bounded;
}

export function signalUrl(endpoint: string, path: string): string {
  return `${endpoint.replace(/\/+$/, '')}/${path}`;
}
