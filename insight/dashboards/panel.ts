import type { LabelOf, MetricName } from './measured.ts';
import type { Query } from './query.ts';

/** What a value counts. Rates are `… a second`, or `… a minute` where a second is too short. */
export type Unit = 'count' | 'per second' | 'per minute' | 'seconds' | 'share' | 'bytes' | 'times' | 'cores';

export interface Line {
  readonly query: Query;
  /** With a label's value in it: `{{saga_step}}`. */
  readonly legend: string;
}

export interface Panel {
  /** The question that it answers. */
  readonly title: string;
  /** What it means, and what to do when it looks bad. */
  readonly help: string;
  /** `lines`: over time. `stack`: over time, and together a whole. `number`: now, or over the time that is shown. */
  readonly as: 'lines' | 'stack' | 'number';
  readonly unit: Unit;
  readonly lines: readonly Line[];
  /** Of which alerts it shows the cause: the panel leads to their runbooks. */
  readonly alerts?: readonly string[];
  /** From here on it is bad: where an alert fires, if one does. 0: anything more than nothing. */
  readonly limit?: number;
}

export interface Section {
  readonly title: string;
  readonly panels: readonly Panel[];
}

/** What a reader may choose, of the values that a metric's label has. Default: all. */
export interface Variable {
  readonly name: string;
  readonly label: string;
  readonly metric: MetricName;
  readonly of: string;
}

export interface Dashboard {
  /** Of its address and its file. */
  readonly name: string;
  readonly title: string;
  readonly about: string;
  readonly variables: readonly Variable[];
  readonly sections: readonly Section[];
}

/** The values of `of` are those that `metric` has at its labels. */
export function variable<Name extends MetricName>(
  name: string,
  label: string,
  { metric, of }: { readonly metric: Name; readonly of: LabelOf<Name> },
): Variable {
  return { name, label, metric, of };
}
