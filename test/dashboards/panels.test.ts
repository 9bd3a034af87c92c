import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { dashboardsOf } from '../../insight/dashboards/dashboards.ts';
import { JOBS_TOPIC, RESULTS_DEAD_LETTER_TOPIC } from '../../orders/contract.ts';
import { OBJECTIVES } from '../../orders/objectives.ts';
import { applyTopology, jobTopology } from '../../shared/index.ts';
import { openDatabase } from '../../shared/storage/database.ts';
import { ROOT } from '../support/child-process.ts';
import { readOrderApi } from '../support/order-api.ts';
import { PATIENCE_MS } from '../support/patience.ts';
import { findProgram, MAY_BE_MISSING, startScraping, WHY_SKIPPED } from '../support/prometheus.ts';
import { createPrometheusApi, type PrometheusApi } from '../support/prometheus-api.ts';
import { deliverTwice } from '../support/redelivery.ts';
import { startShop } from '../support/shop.ts';
import { type BusyDay, campaign, fence, orders, serverError, unreadableSaga } from './busy-day.ts';
import { REPORTS } from './reports.ts';

/** As much of a file of deploy/grafana/dashboards/ as is asked here. */
interface Shown {
  readonly templating: { readonly list: readonly { readonly name: string; readonly query: unknown }[] };
  readonly panels: readonly {
    readonly title: string;
    readonly type: string;
    readonly targets?: readonly {
      readonly expr: string;
      readonly legendFormat: string;
      readonly instant?: boolean;
    }[];
  }[];
}

const DASHBOARDS = dashboardsOf(OBJECTIVES).map(({ name }) => {
  const text = readFileSync(join(ROOT, `deploy/grafana/dashboards/${name}.json`), 'utf8');
  return { name, ...(JSON.parse(text) as Shown) };
});

it.skipIf(MAY_BE_MISSING && !findProgram('prometheus'))(
  `every line of every panel has numbers, after a busy day that a real Prometheus has seen (not run when ${WHY_SKIPPED})`,
  async () => {
    const { day, prometheus, fromMs } = await startDay();
    const others = Promise.all([campaign(day), fence(day)]);
    // Twice that which is in a histogram, with a scrape in between: what is first seen has not increased.
    await orders(day);
    await expectAtLeast(prometheus, LAST_SCRAPE, Date.now() / 1_000);
    await orders(day);
    await others;
    await unreadableSaga(day);
    await serverError(day);
    await day.shop.connection.subscriber.deleteSubscription({
      subscription: `projects/${day.shop.connection.projectId}/subscriptions/${RESULTS_DEAD_LETTER_TOPIC}`,
    });
    for (const last of LAST) await expectAtLeast(prometheus, last, 1);
    await expectAtLeast(prometheus, LAST_SCRAPE, Date.now() / 1_000);

    const seconds = Math.ceil((Date.now() - fromMs) / 1_000);
    const empty: string[] = [];
    for (const { name, title, legend, expr, isInstant } of targets()) {
      const query = interpolated(expr, seconds);
      const numbers = isInstant ? await prometheus.now(query) : await prometheus.over(query, fromMs);
      if (numbers.length === 0) empty.push(`${name}: ${title} (${legend}): ${query}`);
    }
    // Shares are 0 where there is nothing of the part, and one wrong value among several right ones would go unseen.
    const unknown: string[] = [];
    for (const selector of new Set(targets().flatMap(({ expr }) => selectorsOf(expr)))) {
      if ((await prometheus.values(selector)).length === 0) unknown.push(selector);
    }
    expect({ empty, unknown }).toEqual({ empty: [], unknown: [] });

    // What there is to choose from.
    for (const { name, templating } of DASHBOARDS) {
      for (const { query } of templating.list) {
        const [, series, label] = /label_values\((\w+), (\w+)\)/.exec(JSON.stringify(query)) ?? [];
        if (series === undefined) continue;
        const values = (await prometheus.values(series, label)).filter((value) => value !== '');
        expect(values, `${name}: ${label}`).not.toEqual([]);
      }
    }
  },
  3 * PATIENCE_MS,
);

/** When, of the process for which it was longest ago. */
const LAST_SCRAPE = 'min(timestamp(up))';

/** What was done last, and is to be scraped twice: a rate takes two. Garbage is collected when it is. */
const LAST = [
  'throughline_sagas_parked_total offset 2s',
  'throughline_source_errors_total offset 2s',
  'count(http_server_request_duration_count{http_response_status_code="500"})',
  'count(v8js_gc_duration_count{job="order-service"} offset 2s)',
  'sum(throughline_inbox_duplicates_total)',
  'sum(throughline_dead_letters_kept_total)',
  'sum(throughline_fences_standing)',
  'sum(throughline_campaign_deliveries_total{outcome="sent"})',
];

/** The shop, what it does not use, a queue that delivers twice, and a Prometheus that has reached everybody. */
async function startDay(): Promise<{ day: BusyDay; prometheus: PrometheusApi; fromMs: number }> {
  const shop = await startShop({ settings: { OTEL_EXPORTER_PROMETHEUS_PORT: '0', ...SOME_ORDERS } });
  onTestFinished(() => shop.close());
  const database = openDatabase({ connectionString: shop.databaseUrl });
  onTestFinished(() => database.close());
  await applyTopology(shop.connection, jobTopology(REPORTS));
  await deliverTwice(shop.connection, JOBS_TOPIC);
  const [service, ...others] = await Promise.all([
    shop.startService({ THROUGHLINE_RELAY: 'off' }),
    shop.startWorker(),
    shop.startRelay(),
    shop.startAside('test/dashboards/aside-main.ts'),
  ]);
  const [own, worker, relay, aside] = [service, ...others].map(
    ({ ready }) => (ready as { metricsUrl: string }).metricsUrl,
  );
  const urls = { 'order-service': own, 'order-worker': worker, 'order-relay': relay, aside };
  const prometheus = createPrometheusApi(await startScraping(urls as Record<string, string>));
  const fromMs = Date.now();
  await expectAtLeast(prometheus, 'sum(up)', 4);
  return { day: { shop, database, api: await readOrderApi(service.ready.url) }, prometheus, fromMs };
}

/** So that sampling has something to leave out, and something to keep. */
const SOME_ORDERS = { OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.5' };

async function expectAtLeast(prometheus: PrometheusApi, query: string, least: number): Promise<void> {
  const most = async () => Math.max(0, ...(await prometheus.now(query)));
  await expect.poll(most, { interval: 200, message: query }).toBeGreaterThanOrEqual(least);
}

function targets() {
  return DASHBOARDS.flatMap(({ name, panels }) =>
    panels.flatMap(({ title, targets = [] }) =>
      targets.map(({ expr, legendFormat: legend, instant: isInstant = false }) => ({
        ...{ name, title, legend, expr, isInstant },
      })),
    ),
  );
}

/** What a query selects, as a whole and by each value that it names of a label, wanted or not. */
function selectorsOf(expr: string): string[] {
  const selectors = expr.matchAll(/\b([a-z_][\w:]*)\{([^}]*)\}/g);
  return [...selectors].flatMap(([selector, name, matchers = '']) => {
    const named = [...matchers.matchAll(/(\w+)(?:=~|!~|!=|=)"([^"]*)"/g)].flatMap(([, label, values = '']) =>
      values.split('|').map((value) => `${name}{${label}=~"${value}"}`),
    );
    return [selector, ...named].map((one) => interpolated(one, 0));
  });
}

/** As Grafana does it, for scrapes once a second and a point for each: rates over four scrapes at least, and all of each variable. */
function interpolated(expr: string, seconds: number): string {
  return expr
    .replaceAll('$__rate_interval', '4s')
    .replaceAll('$__interval', '1s')
    .replaceAll('$__range', `${seconds}s`)
    .replaceAll(/\$[a-z]+/g, '.*');
}
