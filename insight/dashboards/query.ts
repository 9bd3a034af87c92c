import type { Objective } from '../../shared/objective.ts';
import { prometheusName } from '../objectives/query.ts';
import { ratioName } from '../objectives/rules.ts';
import {
  type CounterName,
  type HistogramName,
  type LabelOf,
  MEASURED,
  type MetricName,
  type ProcessGauge,
  type StoredGauge,
} from './measured.ts';

/**
 * Queries of panels, in PromQL with Grafana's variables. Only this file makes them, so that whatever a panel reads is a metric
 * of the catalogues under a name that Prometheus has for it.
 */
export type Query = string & { readonly [fromHere]: true };
declare const fromHere: unique symbol;

/** A metric's name in Prometheus; of a histogram, the series that counts how often it was measured. */
export function seriesOf(name: MetricName): string {
  const { kind } = MEASURED[name];
  const end = kind === 'counter' ? '_total' : kind === 'histogram' ? '_count' : '';
  return prometheusName(name) + end;
}

/** A value, one of several, none of these, or what is chosen for a variable. */
export type Match =
  | string
  | readonly string[]
  | { readonly not: string | readonly string[] }
  | { readonly variable: string };

export interface Of<Name extends MetricName> {
  readonly where?: { readonly [Label in LabelOf<Name>]?: Match };
  /** A line for each. Default: one for all. */
  readonly by?: readonly LabelOf<Name>[];
}

/** How often, a second: of a histogram, how often something was measured. */
export function perSecond<Name extends CounterName | HistogramName>(name: Name, of: Of<Name> = {}): Query {
  return made(sum(`rate(${counted(name, of)}[$__rate_interval])`, of.by));
}

/** How often, a minute: for what is rare enough that seconds would be fractions. */
export function perMinute<Name extends CounterName | HistogramName>(name: Name, of: Of<Name> = {}): Query {
  return made(`60 * ${perSecond(name, of)}`);
}

/** How many, in the time that the dashboard shows. */
export function inRange<Name extends CounterName | HistogramName>(name: Name, of: Of<Name> = {}): Query {
  return made(sum(`increase(${counted(name, of)}[$__range])`, of.by));
}

/** How many in so long; the window of an alert, to be seen against its limit. */
export function within<Name extends CounterName>(window: string, name: Name, of: Of<Name> = {}): Query {
  return made(sum(`increase(${counted(name, of)}[${window}])`, of.by));
}

/** As much as this share of what was measured took at most, in seconds. No number while nothing was measured. */
export function quantile<Name extends HistogramName>(share: number, name: Name, of: Of<Name> = {}): Query {
  const rates = `rate(${selector(`${prometheusName(name)}_bucket`, of)}[$__rate_interval])`;
  return made(`histogram_quantile(${share}, ${sum(rates, ['le', ...(of.by ?? [])])})`);
}

/** The measured seconds in each second: the share of time that it took. */
export function busy<Name extends HistogramName>(name: Name, of: Of<Name> = {}): Query {
  return made(sum(`rate(${selector(`${prometheusName(name)}_sum`, of)}[$__rate_interval])`, of.by));
}

/** What PostgreSQL says, by whichever process. */
export function stored<Name extends StoredGauge>(name: Name, of: Of<Name> = {}): Query {
  return made(`max${grouped(of.by)}(${selector(prometheusName(name), of)})`);
}

/** What the processes say, added or the worst of them. */
export function told<Name extends ProcessGauge>(how: 'sum' | 'max', name: Name, of: Of<Name> = {}): Query {
  return made(`${how}${grouped(of.by)}(${selector(prometheusName(name), of)})`);
}

/**
 * 0 where there is no series of the part, as of a status that no answer has had; no number where there was nothing of the
 * whole.
 */
export function shareOf(part: Query, whole: Query): Query {
  return made(`(${part} or 0 * ${whole}) / ${whole}`);
}

export function both(one: Query, other: Query): Query {
  return made(`(${one} + ${other})`);
}

/** 1: Prometheus reaches the process. 0: it does not. */
export function reached(): Query {
  return made('max by (job, instance) (up)');
}

/** How many times as fast as would use the error budget up exactly in its 30 days (objectives.rules.yml). */
export function burnSpeed({ name, target }: Objective, window: string): Query {
  return made(`${ratioName(window)}{objective="${name}"} / ${Number((1 - target).toPrecision(6))}`);
}

function made(promql: string): Query {
  return promql as Query;
}

function counted<Name extends CounterName | HistogramName>(name: Name, of: Of<Name>): string {
  return selector(seriesOf(name), of);
}

function sum(promql: string, by: readonly string[] | undefined): string {
  return `sum${grouped(by)}(${promql})`;
}

function grouped(by: readonly string[] = []): string {
  return by.length === 0 ? '' : ` by (${by.map(prometheusName).join(', ')}) `;
}

function selector<Name extends MetricName>(series: string, { where = {} }: Of<Name>): string {
  const matchers = Object.entries<Match>(where as Readonly<Record<string, Match>>).map(
    ([label, match]) => prometheusName(label) + matcher(match),
  );
  return matchers.length === 0 ? series : `${series}{${matchers.join(',')}}`;
}

function matcher(match: Match): string {
  if (typeof match === 'string') return `="${match}"`;
  if ('variable' in match) return `=~"$${match.variable}"`;
  if ('not' in match)
    return typeof match.not === 'string' ? `!="${match.not}"` : `!~"${match.not.join('|')}"`;
  return `=~"${match.join('|')}"`;
}
