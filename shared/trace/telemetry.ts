import { context, DiagLogLevel, diag, propagation, type TextMapPropagator, trace } from '@opentelemetry/api';
import { isTracingSuppressed, W3CBaggagePropagator, W3CTraceContextPropagator } from '@opentelemetry/core';
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus';
import { defaultResource, resourceFromAttributes } from '@opentelemetry/resources';
import { MeterProvider, type MetricReader } from '@opentelemetry/sdk-metrics';
import {
  BasicTracerProvider,
  RandomIdGenerator,
  type ReadableSpan,
  type Sampler,
  type SpanExporter,
} from '@opentelemetry/sdk-trace-base';
import { createScrub } from '../scrub.ts';
import { createBoundedFlush } from './bounded-flush.ts';
import { createContextSeries } from './message-context.ts';
import { registerMeterProvider } from './meter-provider.ts';
import { setSpanKeeper } from './release.ts';
import { DEFAULT_SLOW_MS, type SamplingOptions } from './sampling.ts';
import { type ScrapeOptions, startScrapeServer } from './scrape-server.ts';
import { stderrDiagnostics } from './sdk/diagnostics.ts';
import { boundedExporters } from './sdk/exporters.ts';
import { lifecycle } from './sdk/lifecycle.ts';
import { LEFT_OUT, measureRuntime, metricReaders, observeTail } from './sdk/metrics.ts';
import { ProfiledContextManager } from './sdk/profiled-context.ts';
import { reservingSampler, samplerOf } from './sdk/samplers.ts';
import {
  batchProcessors,
  holdingProcessor,
  orderKeyProcessor,
  profiledProcessor,
} from './sdk/span-processors.ts';
import { createIdGenerator } from './span-ids.ts';
import { createSpanLossSeries } from './span-losses.ts';
import { createTail } from './tail.ts';
import { createW3CPropagator } from './w3c-propagator.ts';

/** The OpenTelemetry SDK is set up here, of the parts in sdk/, and imported nowhere else. */
export interface TelemetryOptions {
  readonly serviceName: string;
  readonly serviceVersion?: string;
  /** Base URL of an OTLP/HTTP receiver. Unset: spans go only to `exporters`, metrics nowhere. */
  readonly otlpEndpoint?: string | undefined;
  /** Further exporters, for instance the testing kit's collector. */
  readonly exporters?: readonly SpanExporter[];
  readonly metricReaders?: readonly MetricReader[];
  /** The share of orders that is kept, besides those that fail or are slow (sampling.ts, tail.ts). Default: everything is. */
  readonly sampling?: SamplingOptions | undefined;
  /** Decides in place of `sampling`, at the start of each span alone. Default: everything, or what the parent's sampler chose. */
  readonly sampler?: Sampler;
  /** Default: W3C Trace Context and Baggage. */
  readonly propagator?: TextMapPropagator;
  readonly batch?: BatchOptions;
  /**
   * `buffered`: spans leave in the background; a process that is killed loses those of its last moments. `before-commit`:
   * checkpoints, acks and the outbox's marks wait until the spans before them have been exported (at most a second, and
   * not at all while the exporter is away), so that a killed process leaves no hole. Default `buffered`.
   */
  readonly spans?: 'buffered' | 'before-commit';
  /** Send metrics to `otlpEndpoint`, too. Default true. */
  readonly pushesMetrics?: boolean;
  /** How often metrics are sent to `otlpEndpoint`, in ms. Default 10_000. */
  readonly metricIntervalMs?: number;
  /** Serve metrics to Prometheus there, under `/metrics`. Default: nowhere. */
  readonly scrape?: ScrapeOptions | undefined;
  /** Measure Node itself: event loop, heap, garbage collection, CPU time, memory. Default false. */
  readonly runtimeMetrics?: boolean;
  /** What no span and no diagnostic may tell: this process's tokens and passwords (`secretsOf(config)`). */
  readonly secrets?: readonly string[];
}

export interface BatchOptions {
  /**
   * Spans that may wait for export. A burst beyond it is dropped and counted in `otel.sdk.processor.span.processed` with
   * `error.type=queue_full`. Default 65_536: the SDK's 2,048 lost three quarters of a burst of 10,000.
   */
  readonly maxQueueSize?: number;
  /** Spans in one export request. Default 2_048. */
  readonly maxExportBatchSize?: number;
  /** Longest wait before a part-filled batch is exported, in ms. Default 1_000. */
  readonly scheduledDelayMs?: number;
  /** After this an export counts as failed, in ms. Default 10_000. */
  readonly exportTimeoutMs?: number;
}

export interface Telemetry {
  /** Where Prometheus finds the metrics; undefined: nowhere. Errors: ScrapeAddressError. */
  scrapeUrl(): Promise<string | undefined>;
  /** Sends every ended span now. Errors: none; a failed export is reported through OpenTelemetry's `diag`. */
  flush(): Promise<void>;
  /** Flushes, then stops. May be called twice. A process that ends on its own must call it: the timers are unref'd. */
  shutdown(): Promise<void>;
}

export type { SpanExporter };

/** Registers tracing, metrics, context and W3C propagation for this process. Call before anything is traced. */
export function startTelemetry(options: TelemetryOptions): Telemetry {
  const scrub = createScrub({ secrets: options.secrets ?? [] });
  const resource = defaultResource().merge(
    resourceFromAttributes({
      'service.name': options.serviceName,
      ...(options.serviceVersion && { 'service.version': options.serviceVersion }),
    }),
  );
  const scrapes =
    options.scrape && new PrometheusExporter({ preventServerStart: true, withoutScopeInfo: true });
  const readers = [...metricReaders(options), ...(scrapes ? [scrapes] : [])];
  const meterProvider = new MeterProvider({ resource, readers, views: LEFT_OUT });
  const sampling =
    options.sampler || !options.sampling || options.sampling.keep >= 1 ? undefined : options.sampling;
  const tail = sampling && createTail<ReadableSpan>(sampling);
  if (tail) observeTail(tail, meterProvider);
  const exporters = boundedExporters(options);
  const holding = holdingProcessor(batchProcessors(exporters, options, meterProvider), tail, scrub);
  const tracerProvider = new BasicTracerProvider({
    resource,
    sampler: reservingSampler(options.sampler ?? samplerOf(sampling)),
    idGenerator: createIdGenerator(new RandomIdGenerator()),
    // Without a meter provider of its own: counting every span's start and end costs more than it tells.
    spanProcessors: [orderKeyProcessor(), profiledProcessor(), holding],
  });
  const flushSpans = () => tracerProvider.forceFlush();
  setSpanKeeper({
    release: holding.release,
    save: options.spans === 'before-commit' ? createBoundedFlush(flushSpans) : undefined,
    slowMs: sampling && (sampling.slowMs ?? DEFAULT_SLOW_MS),
  });
  diag.setLogger(stderrDiagnostics(scrub), { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
  register(tracerProvider, meterProvider, options.propagator ?? w3cPropagator());
  createSpanLossSeries();
  createContextSeries();
  const scraping = scrapes && options.scrape && startScrapeServer(options.scrape, answering(scrapes));
  scraping?.catch(() => {}); // whoever asks for its address is told
  const stopMeasuring = options.runtimeMetrics ? measureRuntime(meterProvider) : undefined;
  return lifecycle({ tracerProvider, meterProvider, exporters, scraping, stopMeasuring });
}

function answering(exporter: PrometheusExporter): Parameters<typeof startScrapeServer>[1] {
  return (request, response) => exporter.getMetricsRequestHandler(request, response);
}

function register(
  tracerProvider: BasicTracerProvider,
  meterProvider: MeterProvider,
  propagator: TextMapPropagator,
): void {
  context.setGlobalContextManager(new ProfiledContextManager().enable());
  propagation.setGlobalPropagator(propagator);
  trace.setGlobalTracerProvider(tracerProvider);
  registerMeterProvider(meterProvider);
}

/** For a process that traces nothing, and shows what others have traced: stored contexts can be read. */
export function readTraceContexts(): void {
  propagation.setGlobalPropagator(w3cPropagator());
}

function w3cPropagator(): TextMapPropagator {
  const traceContext = new W3CTraceContextPropagator();
  return createW3CPropagator({ traceContext, baggage: new W3CBaggagePropagator(), isTracingSuppressed });
}
