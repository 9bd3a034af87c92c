import { startTelemetry, type TelemetryOptions } from '../../shared/trace/telemetry.ts';
import { createSpanCollector, type SpanRecord } from '../../testing/index.ts';
import { createCounterReader } from '../support/counter-reader.ts';

/** Real telemetry whose spans and counters a test reads. Stop it after the test. */
export interface TestTelemetry {
  /** Every span that has ended, in order. */
  spans(): Promise<readonly SpanRecord[]>;
  /** The one span of that name. */
  span(name: string): Promise<SpanRecord>;
  /** A counter's sum over the label sets that contain `labels`. */
  sum(name: string, labels?: Readonly<Record<string, string>>): Promise<number>;
  /** A gauge's latest value; undefined when it was not observed. */
  gauge(name: string): Promise<number | undefined>;
  stop(): Promise<void>;
}

export function startTestTelemetry(options: Partial<TelemetryOptions> = {}): TestTelemetry {
  const collector = createSpanCollector();
  const counters = createCounterReader();
  const telemetry = startTelemetry({
    serviceName: 'test',
    exporters: [collector],
    metricReaders: [counters.reader],
    ...options,
  });
  const spans = async () => {
    await telemetry.flush();
    return collector.spans;
  };
  return {
    spans,
    async span(name) {
      const found = (await spans()).filter((span) => span.name === name);
      const [span] = found;
      if (!span || found.length > 1) throw new Error(`expected one span "${name}", got ${found.length}`);
      return span;
    },
    sum: counters.sum,
    gauge: counters.gauge,
    stop: () => telemetry.shutdown(),
  };
}
