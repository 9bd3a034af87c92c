import { normalisedTree, type SpanRecord } from '../insight/index.ts';
import { createArrivals, type Nothing, type WaitOptions } from '../shared/trace/arrivals.ts';
import { type FinishedSpan, recordOf } from './finished-span.ts';

/**
 * A span exporter that keeps what it gets: give it to a `SimpleSpanProcessor` in a test's tracer provider.
 *
 * Structurally OpenTelemetry's `SpanExporter`, so that the testing kit needs no SDK of its own.
 */
export interface SpanCollector {
  readonly export: (spans: FinishedSpan[], done: (result: { code: number; error?: Error }) => void) => void;
  readonly forceFlush: () => Promise<void>;
  /** Refuses further spans; those collected stay readable. */
  readonly shutdown: () => Promise<void>;
  /** In the order in which they ended. */
  readonly spans: readonly SpanRecord[];
  readonly reset: () => void;
  /**
   * Resolves as soon as the collected spans give an answer; undefined, null and false mean "not yet".
   *
   * Errors: AwaitedSpansMissingError, which shows what was collected; whatever `predicate` throws.
   */
  readonly waitFor: <T>(
    predicate: (spans: readonly SpanRecord[]) => T | Nothing,
    options: WaitOptions,
  ) => Promise<T>;
  /** The spans as `normalisedTree` writes them. */
  readonly tree: () => string;
}

/** OpenTelemetry's `ExportResultCode`. */
const SUCCESS = 0;
const FAILED = 1;

export function createSpanCollector(): SpanCollector {
  let spans: SpanRecord[] = [];
  let isShutDown = false;
  const arrivals = createArrivals(() => normalisedTree(spans));
  return {
    export: (finished, done) => {
      if (isShutDown) return done({ code: FAILED, error: new Error('The span collector was shut down') });
      spans.push(...finished.map(recordOf));
      done({ code: SUCCESS });
      arrivals.notify();
    },
    forceFlush: async () => {},
    shutdown: async () => {
      isShutDown = true;
    },
    get spans() {
      return spans;
    },
    reset: () => {
      spans = [];
    },
    waitFor: (predicate, options) => arrivals.waitFor(() => predicate(spans), options),
    tree: () => normalisedTree(spans),
  };
}
