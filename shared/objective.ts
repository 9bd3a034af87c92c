import type { CounterName, HistogramName } from './trace/metric-catalogue.ts';

/** A service-level objective: of so many events this share is to be good, over 30 days. */
export interface Objective {
  /** Lower-case words joined by dashes; a label of its rules and alerts. */
  readonly name: string;
  /** In words, for people: what counts as good, and of what. */
  readonly meaning: string;
  /** Between 0 and 1: 0.999 leaves one event in a thousand. */
  readonly target: number;
  readonly good: Events;
  /** All that count, the good ones among them. */
  readonly total: Events;
}

/** Events that a counter counts, or a histogram: all, or those that took at most so long. */
export type Events =
  | { readonly counter: CounterName; readonly where: Where }
  | {
      readonly histogram: HistogramName;
      readonly where: Where;
      /** One of the histogram's buckets, in seconds. Unset: all. */
      readonly withinSeconds?: number;
    };

/** A label's value, or those that count. */
export type Where = Readonly<Record<string, string | readonly string[]>>;
