import {
  type Context,
  context,
  type DiagLogger,
  DiagLogLevel,
  diag,
  metrics,
  propagation,
  type TextMapPropagator,
  trace,
} from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { isTracingSuppressed, W3CBaggagePropagator, W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-proto';
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus';
import { RuntimeNodeInstrumentation } from '@opentelemetry/instrumentation-runtime-node';
import { defaultResource, resourceFromAttributes } from '@opentelemetry/resources';
import {
  AggregationType,
  MeterProvider,
  type MetricReader,
  PeriodicExportingMetricReader,
  type ViewOptions,
} from '@opentelemetry/sdk-metrics';
import {
  AlwaysOnSampler,
  BasicTracerProvider,
  BatchSpanProcessor,
  ParentBasedSampler,
  RandomIdGenerator,
  type ReadableSpan,
  type Sampler,
  SamplingDecision,
  type SpanExporter,
  type SpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { activeFollower, spanFollower } from '../profile/active-work.ts';
import { createScrub, type Scrub } from '../scrub.ts';
import { inTime } from '../time-limit.ts';
import { type BoundedExporter, boundExporter } from './bounded-exporter.ts';
import { createBoundedFlush } from './bounded-flush.ts';
import { reservationIn } from './durable-span.ts';
import { createContextSeries } from './message-context.ts';
import { registerMeterProvider } from './meter-provider.ts';
import { orderAttributes } from './order-key.ts';
import { createOtlpSpansExporter } from './otlp-spans-exporter.ts';
import { observeProcess } from './process-metrics.ts';
import { setSpanKeeper } from './release.ts';
import { createOrderSampler, DEFAULT_SLOW_MS, type KeptBecause, type SamplingOptions } from './sampling.ts';
import { type ScrapeOptions, type ScrapeServer, startScrapeServer } from './scrape-server.ts';
import { scrubSpan, type ToldSpan } from './scrub-span.ts';
import { ORDER_KEY, SAGA_ID } from './semconv.ts';
import { createSpanHold } from './span-hold.ts';
import { createIdGenerator } from './span-ids.ts';
import { countingLosses, createSpanLossSeries } from './span-losses.ts';
import { createTail, type Tail } from './tail.ts';
import { createW3CPropagator } from './w3c-propagator.ts';

/** The OpenTelemetry SDK is set up here, and imported nowhere else (its way of sending in otlp-spans-exporter.ts). */
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

/** What OpenTelemetry's instrumentations measure, and nobody should read. */
const LEFT_OUT: ViewOptions[] = [
  // Of `node:http`: the exporters' own requests, under the name that `fetch` has for its own, which Prometheus allows once.
  { meterName: '@opentelemetry/instrumentation-http', instrumentName: 'http.client.request.duration' },
  // Counted when the pool tells of something, which it does before it changes: one at rest has connections in use and callers waiting.
  { meterName: '@opentelemetry/instrumentation-pg', instrumentName: 'db.client.connection.*' },
].map((measured) => ({ ...measured, aggregation: { type: AggregationType.DROP } }));

function answering(exporter: PrometheusExporter): Parameters<typeof startScrapeServer>[1] {
  return (request, response) => exporter.getMetricsRequestHandler(request, response);
}

/** After the meter provider was registered. Shape: a function that stops it. */
function measureRuntime(meterProvider: MeterProvider): () => void {
  const runtime = new RuntimeNodeInstrumentation({ enabled: false });
  runtime.setMeterProvider(meterProvider);
  runtime.enable();
  const stopProcess = observeProcess();
  return () => {
    runtime.disable();
    stopProcess();
  };
}

function samplerOf(sampling: SamplingOptions | undefined): Sampler {
  return sampling
    ? (createOrderSampler(sampling) as Sampler) // the API's words for it are the SDK's, with a type each
    : new ParentBasedSampler({ root: new AlwaysOnSampler() });
}

/** Read when metrics are: a counter's call for each span that is left out would cost more than leaving it out. */
function observeTail(tail: Tail<ReadableSpan>, meterProvider: MeterProvider): void {
  const meter = meterProvider.getMeter('throughline');
  for (const name of ['dropped', 'kept'] as const) {
    meter.createObservableCounter(`throughline.sampling.${name}`).addCallback((result) => {
      for (const [reason, spans] of Object.entries(tail[name])) result.observe(spans, { reason });
    });
  }
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

const MAX_DIAGNOSTIC_CHARS = 1_000;

/** Stdout belongs to the program's own output. */
function stderrDiagnostics(scrub: Scrub): DiagLogger {
  // A receiver's whole answer may be in it, page after page of a proxy's HTML.
  const tell = (message: string) =>
    process.stderr.write(`opentelemetry: ${scrub(plain(message).slice(0, MAX_DIAGNOSTIC_CHARS))}\n`);
  return { error: tell, warn: tell, info: () => {}, debug: () => {}, verbose: () => {} };
}

/** The SDK tells an error as JSON, stack and all. */
function plain(message: string): string {
  if (!message.startsWith('{')) return message;
  try {
    const { name, message: text } = JSON.parse(message) as { name?: unknown; message?: unknown };
    return typeof text === 'string' ? `${String(name)}: ${text}` : message;
  } catch {
    return message;
  }
}

interface Running {
  readonly tracerProvider: BasicTracerProvider;
  readonly meterProvider: MeterProvider;
  readonly exporters: readonly BoundedExporter<ReadableSpan>[];
  readonly scraping: Promise<ScrapeServer> | undefined;
  readonly stopMeasuring: (() => void) | undefined;
}

/** How long the end waits for the last spans, and then for the last metrics, in ms. */
const STOP_WAIT_MS = 5_000;

function lifecycle(running: Running): Telemetry {
  const { tracerProvider, meterProvider, exporters, scraping, stopMeasuring } = running;
  let stopped: Promise<void> | undefined;
  let flushing = Promise.resolve();
  let queued: Promise<void> | undefined;
  const flushOnce = async () => {
    await Promise.allSettled([tracerProvider.forceFlush(), meterProvider.forceFlush()]).then(report);
  };
  const stop = async () => {
    stopMeasuring?.();
    await scraping?.then((server) => server.close()).catch(() => {});
    const lastSpans = Promise.allSettled([tracerProvider.shutdown()])
      .then(report)
      .then(() => Promise.all(exporters.map((exporter) => exporter.settled()))); // one may have been under way before
    await inTime(lastSpans, STOP_WAIT_MS, () => {
      for (const exporter of exporters) exporter.giveUp();
    });
    // After the spans, so that the last metrics tell what was lost.
    const lastMetrics = Promise.allSettled([meterProvider.shutdown()]).then(report);
    await inTime(lastMetrics, STOP_WAIT_MS, () => {
      diag.error('the last metrics were not sent in time');
    });
    // Unregistered, so that a process (or a test) can start telemetry anew.
    for (const api of [trace, metrics, propagation, context]) api.disable();
    setSpanKeeper(undefined);
  };
  // Whoever calls while a flush is under way shares the next one: an exporter refuses too many exports at once.
  const flush = () => {
    queued ??= flushing.then(() => {
      queued = undefined;
      flushing = flushOnce();
      return flushing;
    });
    return queued;
  };
  return {
    scrapeUrl: async () => (await scraping)?.url,
    flush,
    shutdown: () => (stopped ??= stop()),
  };
}

function report(results: readonly PromiseSettledResult<unknown>[]): void {
  for (const result of results) {
    if (result.status === 'rejected') diag.error(`export failed: ${String(result.reason)}`);
  }
}

function boundedExporters({
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

function batchProcessors(
  exporters: readonly BoundedExporter<ReadableSpan>[],
  { batch = {} }: TelemetryOptions,
  meterProvider: MeterProvider,
): SpanProcessor[] {
  const sizes = {
    maxQueueSize: batch.maxQueueSize ?? 65_536,
    maxExportBatchSize: batch.maxExportBatchSize ?? 2_048,
    scheduledDelayMillis: batch.scheduledDelayMs ?? 1_000,
    // Longer than the exporter's own: the processor must not go on before it knows what became of the batch.
    exportTimeoutMillis: (batch.exportTimeoutMs ?? 10_000) + 1_000,
    // The published type omits it; the processor reads it and counts its drops there. telemetry.test.ts would notice.
    selfObsMeterProvider: countingLosses(meterProvider),
  };
  // Each processor gets its own copy: it writes its defaults into what it is given.
  return exporters.map((exporter) => new BatchSpanProcessor(exporter, { ...sizes }));
}

/** A flush sends every batch of a full queue side by side; the exporter's own limit of 30 would drop the last of them. */
const CONCURRENT_EXPORTS = 1_000;

function metricReaders(options: TelemetryOptions): MetricReader[] {
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

function signalUrl(endpoint: string, path: string): string {
  return `${endpoint.replace(/\/+$/, '')}/${path}`;
}

/** A request that learns only in its course whose order it is tells so on its own span; the spans below it say it too. */
function inheritOrder(root: ReadableSpan, span: ReadableSpan): void {
  for (const key of [ORDER_KEY, SAGA_ID]) {
    const value = root.attributes[key];
    if (value !== undefined) span.attributes[key] ??= value;
  }
}

/** Copies the order key and the saga's id from baggage to every span. */
function orderKeyProcessor(): SpanProcessor {
  return {
    onStart: (span, parent: Context) => {
      span.setAttributes(orderAttributes(parent));
    },
    onEnd: () => {},
    forceFlush: async () => {},
    shutdown: async () => {},
  };
}

/** Tells a profile, while one is taken, which spans there are. */
function profiledProcessor(): SpanProcessor {
  return { ...spanFollower, forceFlush: async () => {}, shutdown: async () => {} };
}

/** Tells a profile, while one is taken, whose work begins. */
class ProfiledContextManager extends AsyncLocalStorageContextManager {
  override with<Args extends unknown[], Work extends (...args: Args) => ReturnType<Work>>(
    next: Context,
    work: Work,
    thisArg?: ThisParameterType<Work>,
    ...args: Args
  ): ReturnType<Work> {
    const follower = activeFollower();
    if (!follower) return super.with(next, work, thisArg, ...args);
    return follower.run(follower.recorder.workIn(next), () => super.with(next, work, thisArg, ...args));
  }
}

/** Hands spans on once their local root has ended (span-hold.ts). */
function holdingProcessor(
  inner: readonly SpanProcessor[],
  tail: Tail<ReadableSpan> | undefined,
  scrub: Scrub,
): SpanProcessor & { release(from: Context, because?: KeptBecause): void } {
  const hold = createSpanHold<ReadableSpan>({
    tail,
    forward: (span) => {
      scrubSpan(span as unknown as ToldSpan, scrub); // once, for every exporter; it has ended, and nobody else changes it
      for (const processor of inner) processor.onEnd(span);
    },
    inherit: inheritOrder,
  });
  return {
    onStart: (span, parent) => {
      hold.started(span as unknown as ReadableSpan, trace.getSpanContext(parent));
      for (const processor of inner) processor.onStart(span, parent);
    },
    onEnd: (span) => hold.ended(span),
    forceFlush: async () => {
      await Promise.all(inner.map((processor) => processor.forceFlush()));
    },
    shutdown: async () => {
      await Promise.all(inner.map((processor) => processor.shutdown()));
    },
    release: (from, because) => {
      const span = trace.getSpanContext(from);
      if (span) hold.release(span, because);
    },
  };
}

/** Decides as `inner` does, and lets durable spans ask beforehand and repeat the answer (durable-span.ts: D1). */
function reservingSampler(inner: Sampler): Sampler {
  return {
    shouldSample: (parent, ...rest) => {
      const reservation = reservationIn(parent);
      if (reservation?.phase === 'emit') {
        const decision = reservation.sampled
          ? SamplingDecision.RECORD_AND_SAMPLED
          : SamplingDecision.NOT_RECORD;
        return { decision, ...(reservation.traceState && { traceState: reservation.traceState }) };
      }
      const result = inner.shouldSample(parent, ...rest);
      if (!reservation) return result;
      reservation.sampled = result.decision === SamplingDecision.RECORD_AND_SAMPLED;
      return { ...result, decision: SamplingDecision.NOT_RECORD };
    },
    toString: () => `Reserving(${inner.toString()})`,
  };
}
