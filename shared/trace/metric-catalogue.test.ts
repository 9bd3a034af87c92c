import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { FOREIGN_METRICS } from './foreign-metrics.ts';
import { METRICS, type MetricSpec } from './metric-catalogue.ts';

const DOCS = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8');
/** A table's row without the spaces that align it. */
const plain = (row: string) => row.replaceAll(/ +\|/g, ' |');
const ROWS = DOCS.split('\n')
  .filter((line) => line.startsWith('| `'))
  .map(plain);
const own = Object.entries<MetricSpec>(METRICS);
const entries = [...own, ...Object.entries<MetricSpec>(FOREIGN_METRICS)];

it.each(entries)('docs/metrics.md says of %s what the code does', (name, { kind, unit, labels, meaning }) => {
  const shown = labels.map((label) => `\`${label}\``).join(', ') || '–';
  expect(ROWS).toContain(`| \`${name}\` | ${kind} | \`${unit}\` | ${shown} | ${meaning} |`);
});

it('docs/metrics.md has no row that the code has not', () => {
  const named = ROWS.map((row) => row.split('`')[1] ?? '');
  expect(named).toEqual(entries.map(([name]) => name));
});

it('histograms have buckets in rising order, nothing else has, and no label can hold what grows with customers', () => {
  for (const [, { kind, buckets, labels, unit }] of own) {
    expect(buckets === undefined).toBe(kind !== 'histogram');
    expect(buckets ?? []).toEqual((buckets ?? []).toSorted((one, other) => one - other));
    if (kind === 'histogram') expect(unit).toBe('s');
    for (const label of labels) expect(label).not.toMatch(/order|\bid\b|event_id|customer|email|address/);
  }
});
