import {
  type Attributes,
  type Counter,
  type Histogram,
  type MetricOptions,
  metrics,
} from '@opentelemetry/api';
import { type CounterName, type GaugeName, type HistogramName, specOf } from './metric-catalogue.ts';

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
export function count(name: CounterName, attributes: Attributes, amount = 1): void {
  const { counters } = instruments();
  let counter = counters.get(name);
  if (!counter) {
    counter = metrics.getMeter(SCOPE).createCounter(name, optionsOf(name));
    counters.set(name, counter);
  }
  counter.add(amount, attributes);
}

/** Records a duration in seconds, in the buckets of the catalogue. */
export function recordSeconds(name: HistogramName, seconds: number, attributes: Attributes): void {
  const { histograms } = instruments();
  let histogram = histograms.get(name);
  if (!histogram) {
    const { buckets = [] } = specOf(name);
    const advice = { explicitBucketBoundaries: [...buckets] };
    histogram = metrics.getMeter(SCOPE).createHistogram(name, { ...optionsOf(name), advice });
    histograms.set(name, histogram);
  }
  histogram.record(seconds, attributes);
}

export interface Observation {
  readonly gauge: GaugeName;
  readonly value: number;
  readonly attributes?: Readonly<Record<string, string>>;
}

/**
 * Publishes gauges that are read at each collection. `read` resolves with undefined when it does not know: the SDK then
 * repeats the last numbers. A label set that was observed once and is missing later is 0, and not what it was last.
 *
 * Errors: none; what `read` throws the SDK reports.
 */
export function observeGauges(
  names: readonly GaugeName[],
  read: () => Promise<readonly Observation[] | undefined>,
): { stop(): void } {
  const meter = metrics.getMeter(SCOPE);
  const gauges = new Map(names.map((name) => [name, meter.createObservableGauge(name, optionsOf(name))]));
  const seen = new Map<string, Observation>();
  const observe: Parameters<typeof meter.addBatchObservableCallback>[0] = async (result) => {
    const observations = await read();
    if (!observations) return;
    const zeros = new Map(seen);
    for (const one of observations) {
      const key = `${one.gauge} ${JSON.stringify(one.attributes)}`;
      zeros.delete(key);
      seen.set(key, { ...one, value: 0 });
    }
    for (const { gauge, value, attributes } of [...observations, ...zeros.values()]) {
      const instrument = gauges.get(gauge);
      if (instrument) result.observe(instrument, value, attributes);
    }
  };
  const instrumentList = [...gauges.values()];
  meter.addBatchObservableCallback(observe, instrumentList);
  return { stop: () => meter.removeBatchObservableCallback(observe, instrumentList) };
}

/** What an instrument is created with, from the catalogue. */
export function optionsOf(name: CounterName | HistogramName | GaugeName): MetricOptions {
  const { unit, meaning } = specOf(name);
  return { unit, description: meaning };
}
