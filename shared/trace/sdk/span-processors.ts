import { type Context, trace } from '@opentelemetry/api';
import type { MeterProvider } from '@opentelemetry/sdk-metrics';
import { BatchSpanProcessor, type ReadableSpan, type SpanProcessor } from '@opentelemetry/sdk-trace-base';
import { spanFollower } from '../../profile/active-work.ts';
import type { Scrub } from '../../scrub.ts';
import { orderAttributes } from '../order-key.ts';
import type { KeptBecause } from '../sampling.ts';
import { scrubSpan, type ToldSpan } from '../scrub-span.ts';
import { ORDER_KEY, SAGA_ID } from '../semconv.ts';
import { createSpanHold } from '../span-hold.ts';
import { countingLosses } from '../span-losses.ts';
import type { Tail } from '../tail.ts';
import type { TelemetryOptions } from '../telemetry.ts';
import type { BoundedExporter } from './bounded-exporter.ts';

/** Copies the order key and the saga's id from baggage to every span. */
export function orderKeyProcessor(): SpanProcessor {
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
export function profiledProcessor(): SpanProcessor {
  return { ...spanFollower, forceFlush: async () => {}, shutdown: async () => {} };
}

/** Hands spans on once their local root has ended (span-hold.ts). */
export function holdingProcessor(
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

/** A request that learns only in its course whose order it is tells so on its own span; the spans below it say it too. */
function inheritOrder(root: ReadableSpan, span: ReadableSpan): void {
  for (const key of [ORDER_KEY, SAGA_ID]) {
    const value = root.attributes[key];
    if (value !== undefined) span.attributes[key] ??= value;
  }
}

export function batchProcessors(
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
