import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { OBJECTIVES } from '../../orders/objectives.ts';
import { dashboardsOf } from './dashboards.ts';
import { dashboardFile } from './grafana.ts';
import type { Panel } from './panel.ts';
import { placed } from './placing.ts';
import { perSecond, quantile, seriesOf, shareOf, stored, told, within } from './query.ts';

const DEPLOY = new URL('../../deploy/', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, DEPLOY), 'utf8');

const dashboards = dashboardsOf(OBJECTIVES);
const panelsOf = ({ sections }: (typeof dashboards)[number]) => sections.flatMap(({ panels }) => panels);
const panels: readonly Panel[] = dashboards.flatMap(panelsOf);

it.each(dashboards)('deploy/grafana/dashboards/$name.json is what the code says', (dashboard) => {
  expect(
    read(`grafana/dashboards/${dashboard.name}.json`),
    'generate it again: node scripts/dashboards.ts',
  ).toBe(dashboardFile(dashboard));
});

it('no file is there that the code does not write', () => {
  const files = readdirSync(new URL('grafana/dashboards/', DEPLOY));
  expect(files.toSorted()).toEqual(dashboards.map(({ name }) => `${name}.json`).toSorted());
});

describe('queries', () => {
  it('name series and labels as Prometheus has them', () => {
    const where = { 'saga.name': { variable: 'saga' }, 'saga.outcome': ['compensated', 'stuck'] } as const;
    expect(perSecond('throughline.sagas.ended', { where, by: ['saga.failed_step'] })).toBe(
      'sum by (saga_failed_step) (rate(throughline_sagas_ended_total{saga_name=~"$saga",saga_outcome=~"compensated|stuck"}[$__rate_interval]))',
    );
    expect(
      within('5m', 'throughline.partner.calls', { where: { partner: 'card', outcome: { not: 'done' } } }),
    ).toBe('sum(increase(throughline_partner_calls_total{partner="card",outcome!="done"}[5m]))');
    expect(quantile(0.95, 'v8js.gc.duration', { by: ['job'] })).toBe(
      'histogram_quantile(0.95, sum by (le, job) (rate(v8js_gc_duration_bucket[$__rate_interval])))',
    );
    expect(seriesOf('http.server.request.duration')).toBe('http_server_request_duration_count');
  });

  it('take of what PostgreSQL says the most, and add only what each process says of itself', () => {
    expect(stored('throughline.outbox.unsent')).toBe('max(throughline_outbox_unsent)');
    expect(told('sum', 'throughline.limit.waiting')).toBe('sum(throughline_limit_waiting)');
  });

  it('make shares 0 where nothing of the part was ever there', () => {
    const [part, whole] = [perSecond('throughline.sagas.failed'), perSecond('throughline.sagas.started')];
    expect(shareOf(part, whole)).toBe(`(${part} or 0 * ${whole}) / ${whole}`);
  });

  it('of metrics and labels that are in no catalogue do not compile', () => {
    // @ts-expect-error: there is no such metric
    expect(() => perSecond('throughline.sagas.vanished')).toThrow();
    // @ts-expect-error: it has no such label
    perSecond('throughline.sagas.started', { where: { 'saga.outcome': 'confirmed' } });
    // @ts-expect-error: nor here
    perSecond('throughline.sagas.started', { by: ['saga.step'] });
    // @ts-expect-error: a gauge has no rate
    perSecond('throughline.sagas.open');
    // @ts-expect-error: each process says the same, and it would be counted once for each
    told('sum', 'throughline.sagas.open');
    // @ts-expect-error: a sentence that somebody wrote himself
    const panel: Panel['lines'] = [{ query: 'up', legend: 'up' }];
    expect(panel).toHaveLength(1);
  });
});

it('each panel asks a question, says what to do, and says of every line what it is', () => {
  for (const { title, help, lines } of panels) {
    expect(title).toMatch(/^[A-Z].*\?$/);
    expect(help).toMatch(/^\S.{20,}[.?]$/s);
    expect(lines).not.toEqual([]);
    for (const { legend } of lines) expect(legend, title).not.toBe('');
  }
});

it('each line is named after labels that its query keeps', () => {
  for (const { title, lines } of panels) {
    for (const { query, legend } of lines) {
      const [, kept = ''] = / by \(([^)]*)\)/.exec(query) ?? [];
      for (const [, label] of legend.matchAll(/\{\{(\w+)\}\}/g))
        expect(kept.split(', '), title).toContain(label);
    }
  }
});

it('each dashboard asks for the variables that its panels use, and for no others', () => {
  for (const dashboard of dashboards) {
    const used = panelsOf(dashboard).flatMap(({ lines }) =>
      lines.flatMap(({ query }) => [...query.matchAll(/"\$(\w+)"/g)].map(([, name]) => name)),
    );
    const asked = dashboard.variables.map(({ name }) => name);
    expect([dashboard.name, [...new Set(used)].toSorted()]).toEqual([dashboard.name, asked.toSorted()]);
  }
});

it('each alert has a panel that leads to its runbook, and each panel names alerts that there are', () => {
  const rules = ['alerts', 'objectives'].map((name) => read(`prometheus/${name}.rules.yml`)).join('\n');
  const alerts = new Set([...rules.matchAll(/- alert: (\w+)/g)].map(([, alert]) => alert));
  expect(new Set(panels.flatMap((panel) => panel.alerts ?? []))).toEqual(alerts);
  const files = dashboards.map(dashboardFile).join('\n');
  const pages = readdirSync(new URL('../docs/runbooks/', DEPLOY));
  for (const page of pages) expect(files).toContain(`"url": "\${runbooks}/${page}"`);
  const linked = [...files.matchAll(/\$\{runbooks\}\/([\w-]+\.md)/g)].map(([, page]) => page);
  expect(pages).toEqual(expect.arrayContaining(linked));
});

it('panels lie side by side and nowhere over each other', () => {
  const panel = { width: 10, height: 4, content: {} };
  const shown = placed([
    { title: 'first', panels: [panel, { ...panel, height: 6 }, panel] },
    { title: 'second', panels: [panel] },
  ]);
  expect(shown.map((one) => Object.values((one as { gridPos: object }).gridPos))).toEqual([
    [0, 0, 24, 1],
    [0, 1, 10, 4],
    [10, 1, 10, 6],
    [0, 7, 10, 4],
    [0, 11, 24, 1],
    [0, 12, 10, 4],
  ]);
});

it('Grafana takes rates over as much as Prometheus scrapes', () => {
  const [, scraped] = /scrape_interval: (\S+)/.exec(read('prometheus/prometheus.yml')) ?? [];
  expect(read('grafana/provisioning/datasources/throughline.yaml')).toContain(`timeInterval: ${scraped}\n`);
});
