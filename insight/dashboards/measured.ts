import { FOREIGN_METRICS } from '../../shared/trace/foreign-metrics.ts';
import { METRICS, type MetricSpec } from '../../shared/trace/metric-catalogue.ts';

/** Every metric that a panel may read. What is in neither catalogue does not compile, and a label that it has not neither. */
export const MEASURED = { ...METRICS, ...FOREIGN_METRICS } as const;

type Measured = typeof MEASURED;

type Named<Kind extends MetricSpec['kind']> = {
  [Name in keyof Measured]: Measured[Name]['kind'] extends Kind ? Name : never;
}[keyof Measured];

export type MetricName = keyof Measured;
export type CounterName = Named<'counter'>;
export type HistogramName = Named<'histogram'>;

/** Each process tells its own: they may be added. */
export type ProcessGauge =
  | Extract<keyof typeof FOREIGN_METRICS, Named<'gauge'>>
  | 'process.memory.usage'
  | 'throughline.limit.waiting'
  | 'throughline.worker.max_in_flight'
  | 'throughline.worker.running';
/** Read from PostgreSQL: each process says the same, and to add them would count everything once for each. */
export type StoredGauge = Exclude<Named<'gauge'>, ProcessGauge>;

/** The metric's own, and those by which Prometheus knows the process: `job` is its name there, and not one of our jobs. */
export type LabelOf<Name extends MetricName> = Measured[Name]['labels'][number] | 'job' | 'instance';
