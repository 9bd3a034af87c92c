import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-proto';
import { RuntimeNodeInstrumentation } from '@opentelemetry/instrumentation-runtime-node';
import {
  AggregationType,
  type MeterProvider,
  type MetricReader,
  PeriodicExportingMetricReader,
  type ViewOptions,
} from '@opentelemetry/sdk-metrics';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base';
import { observeProcess } from '../process-metrics.ts';
import type { Tail } from '../tail.ts';
import type { TelemetryOptions } from '../telemetry.ts';
import { signalUrl } from './exporters.ts';

/** What OpenTelemetry's instrumentations measure, and nobody should read. */
export const LEFT_OUT: ViewOptions[] = [
  // Of `node:http`: the exporters' own requests, under the name that `fetch` has for its own, which Prometheus allows once.
  { meterName: '@opentelemetry/instrumentation-http', instrumentName: 'http.client.request.duration' },
  // Counted when the pool tells of something, which it does before it changes: one at rest has connections in use and callers waiting.
  { meterName: '@opentelemetry/instrumentation-pg', instrumentName: 'db.client.connection.*' },
].map((measured) => ({ ...measured, aggregation: { type: AggregationType.DROP } }));

/** Those that the caller brings, and one that sends to the endpoint. */
export function metricReaders(options: TelemetryOptions): MetricReader[] {
  const readers = [...(options.metricReaders ?? [])];
  if (options.otlpEndpoint && options.pushesMetrics !== false) {
    const exporter = new OTLPMetricExporter({
      url: signalUrl(options.otlpEndpoint, 'v1/metrics'),
      timeoutMillis: options.batch?.exportTimeoutMs ?? 10_000,
    });
    const exportIntervalMillis = options.metricIntervalMs ?? 10_000;
    readers.push(new PeriodicExportingMetricReader({ exporter, exportIntervalMillis }));
  }
  return readers;
}

/** After the meter provider was registered. Shape: a function that stops it. */
export function measureRuntime(meterProvider: MeterProvider): () => void {
  const runtime = new RuntimeNodeInstrumentation({ enabled: false });
  runtime.setMeterProvider(meterProvider);
  runtime.enable();
  const stopProcess = observeProcess();
  return () => {
    runtime.disable();
    stopProcess();
  };
}

/** Read when metrics are: a counter's call for each span that is left out would cost more than leaving it out. */
export function observeTail(tail: Tail<ReadableSpan>, meterProvider: MeterProvider): void {
  const meter = meterProvider.getMeter('throughline');
  for (const name of ['dropped', 'kept'] as const) {
    meter.createObservableCounter(`throughline.sampling.${name}`).addCallback((result) => {
      for (const [reason, spans] of Object.entries(tail[name])) result.observe(spans, { reason });
    });
  }
}
