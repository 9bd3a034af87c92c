import { context, diag, metrics, propagation, trace } from '@opentelemetry/api';
import type { MeterProvider } from '@opentelemetry/sdk-metrics';
import type { BasicTracerProvider, ReadableSpan } from '@opentelemetry/sdk-trace-base';
import { inTime } from '../../time-limit.ts';
import { setSpanKeeper } from '../release.ts';
import type { ScrapeServer } from '../scrape-server.ts';
import type { Telemetry } from '../telemetry.ts';
import type { BoundedExporter } from './bounded-exporter.ts';

export interface Running {
  readonly tracerProvider: BasicTracerProvider;
  readonly meterProvider: MeterProvider;
  readonly exporters: readonly BoundedExporter<ReadableSpan>[];
  readonly scraping: Promise<ScrapeServer> | undefined;
  readonly stopMeasuring: (() => void) | undefined;
}

/** How long the end waits for the last spans, and then for the last metrics, in ms. */
const STOP_WAIT_MS = 5_000;

/** Flushes one at a time, and an end that is waited for no longer than it may be. */
export function lifecycle(running: Running): Telemetry {
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
