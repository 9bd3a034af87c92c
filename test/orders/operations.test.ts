import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { judgeLedger } from '../../emulator/partners/judge.ts';
import { openDatabase } from '../../shared/storage/database.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../shared/storage/embedded.ts';
import { findDisconnections, type SpanRecord } from '../../testing/index.ts';
import { newOrder, type OrderApi, readOrderApi } from '../support/order-api.ts';
import { PATIENCE_MS } from '../support/patience.ts';
import { type Shop, startShop } from '../support/shop.ts';

/** It is stopped and started here, so it is nobody else's. */
let postgres: EmbeddedPostgres;
let shop: Shop;
beforeAll(async () => {
  postgres = await startEmbeddedPostgres();
  shop = await startShop({ databaseUrl: postgres.url });
  await shop.startWorker();
});
afterAll(async () => {
  await shop.close();
  await postgres.close();
});

describe('health', () => {
  test('says that the process runs, and that it is ready while its database is there', async () => {
    const service = await shop.startService();
    const api = await readOrderApi(service.ready.url);
    const order = newOrder();
    await api.place(order);
    await api.ended(order.orderKey);
    expect(await api.request('GET', '/healthz')).toMatchObject({ status: 200, body: { status: 'ok' } });
    expect(await api.request('GET', '/readyz')).toMatchObject({ status: 200, body: { status: 'ready' } });
    await postgres.stop('immediate');
    const away = await api.request('GET', '/readyz');
    expect(away).toMatchObject({ status: 503, body: { type: 'urn:throughline:problem:unavailable' } });
    expect(away.headers.get('retry-after')).toBe('1');
    expect((await api.request('GET', '/healthz')).status).toBe(200);
    await postgres.start();
    // A statement waits for a server that is away, and the next one finds it.
    expect((await api.show(order.orderKey)).state).toBe('confirmed');
    expect((await api.request('GET', '/readyz')).status).toBe(200);
    await service.stop();
  });

  test('an order that is under way while PostgreSQL crashes ends all the same', async () => {
    const service = await shop.startService();
    const api = await readOrderApi(service.ready.url);
    const { orderKey, ...order } = newOrder();
    shop.sandbox.faults.add({ orderKey, partner: 'card', kind: 'latency', latencyMs: 500, times: 1 });
    await api.place({ orderKey, ...order });
    await postgres.stop('immediate');
    await postgres.start();
    expect((await api.ended(orderKey)).state).toBe('confirmed');
    expect(judgeLedger(shop.sandbox.effects(orderKey)).doubles).toEqual([]);
    await service.stop();
  });
});

test('SIGTERM under load loses nothing: what was accepted ends after the next start', async () => {
  const first = await shop.startService();
  const api = await readOrderApi(first.ready.url);
  const accepted: string[] = [];
  let isStopping = false;
  const enough = Promise.withResolvers<void>();
  const customer = async () => {
    while (!isStopping) {
      const order = newOrder();
      try {
        const { status } = await api.place(order, { 'idempotency-key': order.orderKey });
        if (status === 202) accepted.push(order.orderKey);
      } catch (error) {
        // The door was shut, and before it was nobody had to be told anything.
        if (!(error instanceof TypeError)) throw error;
        return;
      }
      if (accepted.length >= 40) enough.resolve();
    }
  };
  const customers = Promise.all(Array.from({ length: 8 }, customer));
  await Promise.race([enough.promise, customers]);
  await first.stop();
  isStopping = true;
  await customers;
  expect(accepted.length).toBeGreaterThanOrEqual(40);

  const second = await shop.startService();
  const after = await readOrderApi(second.ready.url);
  const ended = await Promise.all(accepted.map((orderKey) => after.ended(orderKey)));
  expect(new Set(ended.map(({ state }) => state))).toEqual(new Set(['confirmed']));
  for (const orderKey of accepted) {
    expect(judgeLedger(shop.sandbox.effects(orderKey)).doubles).toEqual([]);
    await connected(orderKey);
  }
  // Nobody waits for an order of which the customer was not told either.
  await everyOrderEnds();
  await second.stop();
});

test('two order services and two workers share fifty orders: each ends once, and each is connected', async () => {
  const services = await Promise.all(['order-service-a', 'order-service-b'].map(named));
  await shop.startWorker({ OTEL_SERVICE_NAME: 'order-worker-b' });
  const apis = await Promise.all(services.map(({ ready }) => readOrderApi(ready.url)));
  const [one, other] = apis as [OrderApi, OrderApi];
  const orders = Array.from({ length: 50 }, (_, index) => ({ ...newOrder(), isRefused: index % 5 === 4 }));
  const results = await Promise.all(
    orders.map(async ({ isRefused, ...order }, index) => {
      const { orderKey } = order;
      if (isRefused)
        shop.sandbox.faults.add({ orderKey, partner: 'workspace', effect: 'set-up', kind: 'refuse' });
      await (index % 2 ? one : other).place(order);
      // Watched where it was not placed.
      return (index % 2 ? other : one).ended(orderKey);
    }),
  );
  const expected = orders.map(({ isRefused }) => (isRefused ? 'compensated' : 'confirmed'));
  expect(results.map(({ state }) => state)).toEqual(expected);
  for (const { orderKey, isRefused } of orders) {
    const { doubles, standing } = judgeLedger(shop.sandbox.effects(orderKey));
    expect(doubles).toEqual([]);
    expect(standing.includes('card/redeem')).toBe(!isRefused);
    await connected(orderKey);
    const ends = shop.store.byOrder(orderKey).filter((span) => span.attributes['saga.outcome'] !== undefined);
    expect(ends).toHaveLength(1);
  }
  const worked = orders.flatMap(({ orderKey }) =>
    shop.store.byOrder(orderKey).flatMap(({ name, service }) => (/^process work/.test(name) ? service : [])),
  );
  expect(new Set(worked)).toEqual(new Set(['order-worker', 'order-worker-b']));
  await Promise.all(services.map((service) => service.stop()));
});

const named = (name: string) => shop.startService({ OTEL_SERVICE_NAME: name });

/** Resolves once the order's saga was told and its spans are one graph. */
function connected(orderKey: string): Promise<true> {
  return shop.store.waitFor(
    (store) => {
      const spans = store.byOrder(orderKey);
      return isTold(spans) && findDisconnections(spans, orderKey).length === 0;
    },
    { timeoutMs: PATIENCE_MS },
  ) as Promise<true>;
}

/** Resolves once every order that was stored has ended, accepted or not. */
async function everyOrderEnds(): Promise<void> {
  const database = openDatabase({ connectionString: shop.databaseUrl, maxConnections: 1 });
  try {
    const { rows } = await database.query<{ order_key: string }>('SELECT order_key FROM throughline.saga');
    await Promise.all(rows.map(({ order_key }) => told(order_key)));
  } finally {
    await database.close();
  }
}

function told(orderKey: string): Promise<true> {
  return shop.store.waitFor((store) => isTold(store.byOrder(orderKey)), {
    timeoutMs: PATIENCE_MS,
  }) as Promise<true>;
}

/** The span of an order's saga says how it ended; that of a stuck one, which has not, says so too. */
function isTold(spans: readonly SpanRecord[]): boolean {
  return spans.some(({ attributes }) => ENDS.has(String(attributes['saga.outcome'])));
}

const ENDS = new Set(['confirmed', 'compensated', 'resolved']);
