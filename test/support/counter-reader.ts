import { type CollectionResult, MetricReader } from '@opentelemetry/sdk-metrics';

/** Reads counters and gauges when asked; once telemetry has stopped, as they were at its end. */
class OnDemandReader extends MetricReader {
  #last: CollectionResult | undefined;

  async read(): Promise<CollectionResult> {
    return this.#last ?? (await this.collect());
  }
  protected override async onForceFlush(): Promise<void> {}
  protected override async onShutdown(): Promise<void> {
    this.#last = await this.collect();
  }
}

export function createCounterReader() {
  const reader = new OnDemandReader();
  const sum = async (name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> => {
    const { resourceMetrics } = await reader.read();
    const metric = resourceMetrics.scopeMetrics
      .flatMap((scope) => scope.metrics)
      .find(({ descriptor }) => descriptor.name === name);
    const fits = (attributes: Readonly<Record<string, unknown>>) =>
      Object.entries(labels).every(([key, value]) => attributes[key] === value);
    return (metric?.dataPoints ?? [])
      .filter(({ attributes }) => fits(attributes))
      .reduce((total, { value }) => total + Number(value), 0);
  };
  /** A gauge's latest value; undefined when it was not observed. */
  const gauge = async (name: string): Promise<number | undefined> => {
    const { resourceMetrics } = await reader.read();
    const points = resourceMetrics.scopeMetrics
      .flatMap((scope) => scope.metrics)
      .filter(({ descriptor }) => descriptor.name === name)
      .flatMap(({ dataPoints }): readonly { readonly value: unknown }[] => dataPoints);
    const value = points.at(-1)?.value;
    return value === undefined ? undefined : Number(value);
  };
  /** The label sets in which there is a value, be it 0. */
  const labelSets = async (name: string): Promise<Readonly<Record<string, unknown>>[]> => {
    const { resourceMetrics } = await reader.read();
    return resourceMetrics.scopeMetrics
      .flatMap((scope) => scope.metrics)
      .filter(({ descriptor }) => descriptor.name === name)
      .flatMap(
        ({ dataPoints }): readonly { readonly attributes: Readonly<Record<string, unknown>> }[] => dataPoints,
      )
      .map(({ attributes }) => attributes);
  };
  return { reader, sum, gauge, labelSets };
}
