import { type Attributes, type Counter, type Histogram, metrics } from '@opentelemetry/api';

/**
 * Instruments by name, created when first used.
 *
 * The metrics API has no proxy: an instrument that is made before the SDK is registered stays silent for good. Modules
 * therefore ask for theirs at the moment of use, and the cache follows the registered provider.
 */

const SCOPE = 'throughline';

interface Instruments {
  readonly provider: object;
  readonly counters: Map<string, Counter>;
  readonly histograms: Map<string, Histogram>;
}

let cache: Instruments | undefined;

function instruments(): Instruments {
  const provider = metrics.getMeterProvider();
  if (cache?.provider !== provider) cache = { provider, counters: new Map(), histograms: new Map() };
  return cache;
}

/** Adds to a counter; `count` may be 0, which creates the series so that its first event is seen as an increase. */
export function count(name: string, attributes: Attributes, amount = 1): void {
  const { counters } = instruments();
  let counter = counters.get(name);
  if (!counter) {
    counter = metrics.getMeter(SCOPE).createCounter(name);
    counters.set(name, counter);
  }
  counter.add(amount, attributes);
}

/** Records a duration; seconds, in the messaging conventions' buckets. */
export function recordSeconds(name: string, seconds: number, attributes: Attributes): void {
  const { histograms } = instruments();
  let histogram = histograms.get(name);
  if (!histogram) {
    histogram = metrics.getMeter(SCOPE).createHistogram(name, {
      unit: 's',
      advice: {
        explicitBucketBoundaries: [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
      },
    });
    histograms.set(name, histogram);
  }
  histogram.record(seconds, attributes);
}
