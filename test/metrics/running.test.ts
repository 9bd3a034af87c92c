import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { FOREIGN_METRICS } from '../../shared/trace/foreign-metrics.ts';
import { METRICS, type MetricSpec } from '../../shared/trace/metric-catalogue.ts';
import { ROOT } from '../support/child-process.ts';
import { type Exposition, readExposition, type Sample, selectorsIn } from '../support/exposition.ts';
import { newOrder, readOrderApi } from '../support/order-api.ts';
import { type Shop, startShop } from '../support/shop.ts';

type Scraped = Readonly<Record<'service' | 'worker' | 'relay', Exposition>>;

let shop: Shop;
/** Before the first order, and after one that was confirmed, one that failed, and one whose partner asked to wait. */
let quiet: Scraped;
let busy: Scraped;
let orderKeys: readonly string[];
/** What a stranger may ask for. */
const NO_ROUTE = '/orders/O-1/whatever-comes-to-mind';

beforeAll(async () => {
  shop = await startShop({ settings: { OTEL_EXPORTER_PROMETHEUS_PORT: '0' } });
  const [service, worker, relay] = await Promise.all([
    shop.startService({ THROUGHLINE_RELAY: 'off' }),
    shop.startWorker(),
    shop.startRelay(),
  ]);
  const scrape = async ({ ready }: { readonly ready: object }) => {
    const response = await fetch((ready as { metricsUrl: string }).metricsUrl);
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/plain']);
    return readExposition(await response.text());
  };
  const scrapeAll = async () => {
    const [ofService, ofWorker, ofRelay] = await Promise.all([service, worker, relay].map(scrape));
    return { service: ofService, worker: ofWorker, relay: ofRelay } as Scraped;
  };
  quiet = await scrapeAll();
  const api = await readOrderApi(service.ready.url);
  const ended = async (state: string) => {
    const order = newOrder();
    await api.place(order);
    expect(await api.ended(order.orderKey)).toMatchObject({ state });
    return order.orderKey;
  };
  const confirmed = await ended('confirmed');
  shop.sandbox.faults.add({ partner: 'registrar', effect: 'acquire', kind: 'refuse', times: 1 });
  shop.sandbox.faults.add({ partner: 'card', effect: 'redeem', kind: 'rate-limit', times: 1 });
  orderKeys = [confirmed, await ended('compensated')];
  expect((await fetch(`${service.ready.url}${NO_ROUTE}`)).status).toBe(404);
  busy = await scrapeAll();
}, 90_000);
afterAll(() => shop?.close());

const all = (scraped: Scraped): Sample[] => Object.values(scraped).flatMap(({ samples }) => samples);
const sum = (name: string, labels: Readonly<Record<string, string>> = {}) =>
  all(busy)
    .filter((sample) => sample.name === name)
    .filter((sample) => Object.entries(labels).every(([key, value]) => (sample.labels[key] ?? '') === value))
    .reduce((total, { value }) => total + value, 0);

/** `throughline.sagas.ended` → the name under which Prometheus has it. */
const exposed = (name: string, { kind }: MetricSpec) =>
  name.replaceAll('.', '_') + (kind === 'counter' ? '_total' : '');

const ALERTS = readFileSync(join(ROOT, 'deploy/prometheus/alerts.rules.yml'), 'utf8');
const OBJECTIVES = readFileSync(join(ROOT, 'deploy/prometheus/objectives.rules.yml'), 'utf8');
const expressions = (text: string) =>
  [...text.matchAll(/expr: (?:\|-\n((?: {10,}.*\n)+)|(.*))/g)].map(([, block, line]) => block ?? line ?? '');
const read = [...expressions(ALERTS), ...expressions(OBJECTIVES)].flatMap(selectorsIn);
/** Without what Prometheus has of itself. */
const scrapedSelectors = read.filter(({ name }) => !name.startsWith('objective:') && name !== 'up');

it('every metric that a rule reads is one that the running system exposes', () => {
  const names = new Set(all(busy).map(({ name }) => name));
  expect(scrapedSelectors.length).toBeGreaterThan(30);
  expect(scrapedSelectors.map(({ name }) => name).filter((name) => !names.has(name))).toEqual([]);
});

it('every label set that an alert reads is there at 0 before the first order', () => {
  const selectors = expressions(ALERTS)
    .flatMap(selectorsIn)
    .filter(({ name }) => name !== 'up');
  for (const { name, matches } of selectors) {
    const found = all(quiet).filter((sample) => sample.name === name && matches(sample.labels));
    expect(found, name).not.toEqual([]);
    expect(
      found.filter(({ value }) => value !== 0),
      name,
    ).toEqual([]);
  }
});

it('no counter of ours has a label set that was first seen with its first event, where an alert reads it', () => {
  const key = ({ name, labels }: Sample) => `${name}${JSON.stringify(labels)}`;
  const before = new Set(all(quiet).map(key));
  const alerts = expressions(ALERTS).flatMap(selectorsIn);
  const born = all(busy).filter((sample) => sample.name.endsWith('_total') && !before.has(key(sample)));
  const read = born.filter(({ name, labels }) =>
    alerts.some((selector) => selector.name === name && selector.matches(labels)),
  );
  expect(read).toEqual([]);
});

/** Nothing of these has happened in the orders, or needs to have; the shop has neither schedules nor limits, and keeps all spans. */
const SILENT = new Set([
  'throughline_source_errors_total',
  'throughline_sagas_parked_total',
  'v8js_gc_duration', // nobody says when garbage is collected
  'throughline_schedule_fired_total',
  'throughline_schedule_left_out_total',
  'throughline_schedule_failed_total',
  'throughline_limit_waited_total',
  'throughline_limit_waiting',
  'throughline_sampling_dropped_total',
  'throughline_sampling_kept_total',
]);

it('every metric has the type, and no other labels than its catalogue says', () => {
  const types = new Map(Object.values(busy).flatMap(({ types }) => [...types]));
  for (const [name, spec] of Object.entries<MetricSpec>({ ...METRICS, ...FOREIGN_METRICS })) {
    if (SILENT.has(exposed(name, spec))) continue;
    expect([name, types.get(exposed(name, spec))]).toEqual([name, spec.kind]);
    const labels = [...spec.labels, ...(spec.kind === 'histogram' ? ['le'] : [])].map((label) =>
      label.replaceAll('.', '_'),
    );
    const own = all(busy).filter((sample) =>
      [
        exposed(name, spec),
        ...['_bucket', '_sum', '_count'].map((end) => exposed(name, spec) + end),
      ].includes(sample.name),
    );
    for (const sample of own)
      expect(labels, name).toEqual(expect.arrayContaining(Object.keys(sample.labels)));
  }
});

it('docs/metrics.md has a row for each metric that is exposed, and for no other', () => {
  const rows = [
    ...readFileSync(join(ROOT, 'docs/metrics.md'), 'utf8').matchAll(/^\| `([a-z0-9._]+)` +\| (\w+) /gm),
  ];
  const documented = rows.map(([, name = '', kind]) => [
    name.replaceAll('.', '_') + (kind === 'counter' ? '_total' : ''),
    kind,
  ]);
  const types = Object.values(busy).flatMap(({ types }) => [...types]);
  const exposedTypes = [...new Map(types)].filter(([name]) => name !== 'target_info');
  const said = documented.filter(([name = '']) => !SILENT.has(name));
  expect(said.toSorted()).toEqual(exposedTypes.filter(([name]) => !SILENT.has(name)).toSorted());
});

it('whatever is exposed under our names is in the catalogue', () => {
  const known = new Set(Object.entries(METRICS).map(([name, spec]) => exposed(name, spec)));
  const ours = Object.values(busy)
    .flatMap(({ types }) => [...types.keys()])
    .filter((name) => /^(throughline|messaging)_/.test(name));
  expect(ours.filter((name) => !known.has(name))).toEqual([]);
});

it('tells what became of the orders', () => {
  const saga = { saga_name: 'workspace-card-order' };
  expect(sum('throughline_sagas_started_total', saga)).toBe(2);
  expect(sum('throughline_sagas_ended_total', { ...saga, saga_outcome: 'confirmed' })).toBe(1);
  const failed = { ...saga, saga_failed_step: 'acquire-domain' };
  expect(sum('throughline_sagas_failed_total', failed)).toBe(1);
  expect(sum('throughline_sagas_ended_total', { ...failed, saga_outcome: 'compensated' })).toBe(1);
  expect(sum('throughline_saga_duration_count', saga)).toBe(2);
  const step = { ...saga, saga_step: 'set-up-workspace', outcome: 'completed' };
  expect(sum('throughline_saga_step_duration_count', step)).toBe(1);
  expect(
    sum('throughline_saga_wait_duration_count', { saga_step: 'set-up-workspace', waits_for: 'worker' }),
  ).toBe(1);
  expect(
    sum('throughline_saga_compensation_duration_count', { saga_step: 'settle-payment', outcome: 'undone' }),
  ).toBe(1);
  expect(sum('throughline_partner_calls_total', { partner: 'registrar', outcome: 'refused' })).toBe(1);
  expect(
    sum('throughline_partner_retries_total', { partner: 'card', reason: 'rate-limit' }) +
      sum('throughline_partner_calls_total', { partner: 'card', outcome: 'rate-limit' }),
  ).toBe(1);
  const setUp = { throughline_job_name: 'workspace.set-up', throughline_job_outcome: 'done' };
  expect(sum('messaging_client_consumed_messages_total', setUp)).toBe(1);
});

it("tells of requests, the partners' and PostgreSQL's answers, by the routes that there are", () => {
  const status = (code: string) => ({ http_response_status_code: code });
  const served = (route: string, code: string) =>
    sum('http_server_request_duration_count', { http_route: route, ...status(code) });
  expect(served('/orders', '202')).toBe(2);
  expect(served('', '404')).toBe(1);
  expect(sum('http_client_request_duration_count', status('429'))).toBe(1);
  expect(sum('http_client_request_duration_count', status('200'))).toBeGreaterThan(5);
  expect(sum('db_client_operation_duration_count', { db_operation_name: 'COMMIT' })).toBeGreaterThan(2);
});

it('the worker, the service and the relay tell of Node, and no metric of anybody', () => {
  for (const { types } of Object.values(busy)) {
    for (const name of ['nodejs_eventloop_delay_p99', 'v8js_memory_heap_used'])
      expect([...types.keys()]).toContain(name);
  }
  const text = JSON.stringify(all(busy));
  for (const secret of [...orderKeys, NO_ROUTE, 'owner@shop.example', 'shop.example'])
    expect(text).not.toContain(secret);
});
