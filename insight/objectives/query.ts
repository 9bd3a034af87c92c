import type { Events, Objective, Where } from '../../shared/objective.ts';

/** A name as the scrape endpoint writes it: `saga.name` → `saga_name`. */
export function prometheusName(name: string): string {
  return name.replaceAll(/[^A-Za-z0-9_]/g, '_');
}

/** Which series hold these events. Shape: `throughline_sagas_ended_total{saga_name="…"}`. */
export function selectorOf(events: Events): string {
  if ('counter' in events) return `${prometheusName(events.counter)}_total${matchers(events.where)}`;
  const name = prometheusName(events.histogram);
  const { where, withinSeconds } = events;
  if (withinSeconds === undefined) return `${name}_count${matchers(where)}`;
  // Prometheus 3 writes whole numbers as 60.0, older ones as 60.
  return `${name}_bucket${matchers(where, [`le=~"${withinSeconds}(\\\\.0)?"`])}`;
}

function matchers(where: Where, further: readonly string[] = []): string {
  const own = Object.entries(where).map(([label, value]) =>
    typeof value === 'string'
      ? `${prometheusName(label)}="${value}"`
      : `${prometheusName(label)}=~"${value.join('|')}"`,
  );
  return `{${[...own, ...further].join(',')}}`;
}

/**
 * The share of bad events over a window such as `5m`; not a number when there was no event at all.
 *
 * Where nothing good was ever counted there is no series of it: then all are bad.
 */
export function badRatio({ good, total }: Objective, window: string): string {
  const all = `sum(rate(${selectorOf(total)}[${window}]))`;
  return `1 - (sum(rate(${selectorOf(good)}[${window}])) or 0 * ${all}) / ${all}`;
}

/** How many events there were in a window, the good ones or all. */
export function eventCount(events: Events, window: string): string {
  return `sum(increase(${selectorOf(events)}[${window}]))`;
}
