import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { OrderView } from '../../orders/http/schemas.ts';
import { openDatabase } from '../../shared/storage/database.ts';
import { newOrder, type OrderApi, problemOf, readOrderApi } from '../support/order-api.ts';
import { type Shop, startShop } from '../support/shop.ts';

let shop: Shop;
let api: OrderApi;
beforeAll(async () => {
  shop = await startShop();
  const [service] = await Promise.all([shop.startService(), shop.startWorker()]);
  api = await readOrderApi(service.ready.url);
});
afterAll(() => shop.close());

const CONFIRMED = [
  'account/verify',
  'card/redeem',
  'payment/prepare',
  'payment/capture',
  'payment/register-card',
  'registrar/acquire',
  'workspace/set-up',
];

describe('POST /orders', () => {
  test('answers 202 with the order, which is then confirmed step by step', async () => {
    const order = newOrder({ items: [{ sku: 'workspace-starter', quantity: 2 }] });
    const { status, headers, body } = await api.place(order);
    expect(status).toBe(202);
    expect(headers.get('location')).toBe(`/orders/${order.orderKey}`);
    expect(headers.has('idempotent-replayed')).toBe(false);
    expect(body).toMatchObject({
      orderKey: order.orderKey,
      state: 'running',
      amountMinor: 1_360,
      currency: 'EUR',
      itemsCount: 2,
      traceId: expect.stringMatching(/^[0-9a-f]{32}$/),
      links: { self: `/orders/${order.orderKey}`, events: `/orders/${order.orderKey}/events` },
    });
    const ended = await api.ended(order.orderKey);
    expect(ended.state).toBe('confirmed');
    expect(ended.steps).toHaveLength(8);
    for (const step of ended.steps) expect(step).toMatchObject({ status: 'completed', attempts: 1 });
    expect(shop.effects(order.orderKey).filter((effect) => effect !== 'mail/send')).toEqual(CONFIRMED);
    expect(await api.show(order.orderKey)).toEqual(ended);
  });

  test('makes a key for an order that brings none', async () => {
    const { orderKey: _, ...anonymous } = newOrder();
    const { body } = await api.place(anonymous);
    expect((body as OrderView).orderKey).toMatch(/^O-[0-9a-f-]{36}$/);
  });

  test('with a repeated idempotency key answers the same order, says so, and begins no second saga', async () => {
    const order = newOrder();
    const headers = { 'idempotency-key': randomUUID() };
    const first = await api.place(order, headers);
    const { sagaId } = first.body as OrderView;
    const again = await api.place(order, headers);
    expect(again).toMatchObject({ status: 202, body: { orderKey: order.orderKey, sagaId } });
    expect(again.headers.get('idempotent-replayed')).toBe('true');
    await api.ended(order.orderKey);
    expect(await sagasOf(order.orderKey)).toEqual([sagaId]);
    expect(shop.effects(order.orderKey).filter((effect) => effect !== 'mail/send')).toEqual(CONFIRMED);
  });

  test('with one idempotency key, ten times at once and without an order key, places one order', async () => {
    const { orderKey: _, ...order } = newOrder();
    const headers = { 'idempotency-key': randomUUID() };
    const answers = await Promise.all(Array.from({ length: 10 }, () => api.place(order, headers)));
    const [orderKey = '', ...others] = new Set(answers.map(({ body }) => (body as OrderView).orderKey));
    expect(others).toEqual([]);
    expect(answers.filter((answer) => !answer.headers.has('idempotent-replayed'))).toHaveLength(1);
    await api.ended(orderKey);
    expect(await sagasOf(orderKey)).toHaveLength(1);
    expect(shop.effects(orderKey).filter((effect) => effect !== 'mail/send')).toEqual(CONFIRMED);
  });

  test('with an idempotency key that was used for another order is refused with 422', async () => {
    const headers = { 'idempotency-key': randomUUID() };
    const order = newOrder();
    await api.place(order, headers);
    for (const other of [newOrder(), { ...order, domain: 'other.example' }]) {
      const refused = await api.place(other, headers);
      expect(refused.status).toBe(422);
      expect(problemOf(refused).type).toBe('urn:throughline:problem:idempotency-key-reused');
    }
  });

  test('with an order key that is taken is refused with 409', async () => {
    const order = newOrder();
    await api.place(order);
    for (const headers of [{}, { 'idempotency-key': randomUUID() }]) {
      const refused = await api.place(order, headers);
      expect(refused.status).toBe(409);
      expect(problemOf(refused).type).toBe('urn:throughline:problem:order-key-taken');
    }
    expect(await sagasOf(order.orderKey)).toHaveLength(1);
  });

  test.each([
    { what: 'an unknown field', order: newOrder({ colour: 'red' }), field: 'order', expected: /"colour"/ },
    { what: 'an e-mail that is none', order: newOrder({ email: '<script>' }), field: 'email' },
    { what: 'a domain that is none', order: newOrder({ domain: 'a b' }), field: 'domain' },
    { what: 'a missing field', order: { email: 'owner@shop.example' }, field: 'domain' },
    { what: 'an order key with a slash', order: newOrder({ orderKey: 'a/b' }), field: 'orderKey' },
    { what: 'an order key with a line break', order: newOrder({ orderKey: 'a\nb' }), field: 'orderKey' },
    { what: 'no items', order: newOrder({ items: [] }), field: 'items' },
    {
      what: 'half a user',
      order: newOrder({ items: [{ sku: 'workspace-plus', quantity: 0.5 }] }),
      field: 'items.0.quantity',
    },
    {
      what: 'a thing that is not sold',
      order: newOrder({ items: [{ sku: 'coffee', quantity: 1 }] }),
      field: 'items.0.sku',
    },
    { what: 'a list', order: [], field: 'order' },
    {
      what: 'a prototype',
      order: '{"domain":"shop.example","email":"owner@shop.example","__proto__":{"orderKey":"O"}}',
      field: 'order',
      expected: /"__proto__"/,
    },
  ])('with $what is refused with 422 and names the field', async ({ order, field, expected = /./ }) => {
    const refused = await api.place(order);
    expect(refused.status).toBe(422);
    expect(refused.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(problemOf(refused).errors).toContainEqual({ field, expected: expect.stringMatching(expected) });
  });

  test('with an idempotency key that is too long is refused with 422 and names the header', async () => {
    const refused = await api.place(newOrder(), { 'idempotency-key': 'k'.repeat(256) });
    expect(refused).toMatchObject({ status: 422, body: { errors: [{ field: 'idempotency-key header' }] } });
  });

  test.each([
    { what: 'no JSON', body: '{oops', status: 400 },
    { what: 'a bare string', body: '"order"', status: 400 },
    { what: 'nothing', body: '', status: 422 },
    { what: 'plain text', body: 'x', headers: { 'content-type': 'text/plain' }, status: 415 },
    {
      what: 'an unknown encoding',
      body: '{}',
      headers: { 'content-encoding': 'rot13' },
      status: 415,
    },
    { what: 'more than 64 KiB', body: JSON.stringify({ a: 'x'.repeat(64 * 1024) }), status: 413 },
  ])('with a body of $what is refused with $status', async ({ body, headers, status }) => {
    const refused = await api.place(body, headers);
    expect(refused.status).toBe(status);
    expect(problemOf(refused)).toMatchObject({ status, title: expect.stringMatching(/./) });
  });
});

describe('GET /orders/:orderKey', () => {
  test.each(['O-nobody', '%2e%2e%2f', 'a%00b', "'%20OR%201=1", 'x'.repeat(500)])(
    'answers 404 for an order that is not there: %s',
    async (orderKey) => {
      for (const path of [`/orders/${orderKey}`, `/orders/${orderKey}/events`])
        expect((await api.request('GET', path)).status).toBe(404);
    },
  );

  test('and a path that is none answer problem details', async () => {
    const response = await fetch(`${api.url}/admin`);
    expect(response.status).toBe(404);
    expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(await response.json()).toMatchObject({ type: 'urn:throughline:problem:not-found', status: 404 });
    expect(response.headers.has('x-powered-by')).toBe(false);
  });
});

describe('an order whose worker fails for good', () => {
  test('is compensated in reverse, and its view says why', async () => {
    const order = newOrder();
    const { orderKey } = order;
    shop.sandbox.faults.add({ orderKey, partner: 'workspace', effect: 'set-up', kind: 'refuse' });
    await api.place(order);
    const ended = await api.ended(order.orderKey);
    expect(ended.state).toBe('compensated');
    const undone = ended.steps.filter(({ compensation }) => compensation.status === 'undone');
    expect(undone.map(({ name }) => name)).toEqual([
      'redeem-card',
      'create-contract',
      'settle-payment',
      'set-up-workspace', // it may have happened, for all that the order service knows
    ]);
    const endedAt = undone.map(({ compensation }) => compensation.endedAt ?? '');
    expect(endedAt).toEqual(endedAt.toSorted().toReversed());
    expect(ended.steps.find(({ name }) => name === 'set-up-workspace')).toMatchObject({ status: 'failed' });
    expect(shop.effects(order.orderKey).slice(-2)).toEqual(['payment/refund', 'card/reactivate']);
  });
});

describe('the events of an order', () => {
  test('tell every change from the first to the last, and then end', async () => {
    const order = newOrder();
    await api.place(order);
    const views = await Array.fromAsync(api.follow(order.orderKey));
    expect(views.at(-1)).toEqual(await api.show(order.orderKey));
    expect(views.at(-1)?.state).toBe('confirmed');
    const completed = views.map(({ steps }) => steps.filter(({ status }) => status === 'completed').length);
    expect(completed).toEqual(completed.toSorted((one, other) => one - other));
    expect(views.map((view) => JSON.stringify(view))).toEqual([
      ...new Set(views.map((view) => JSON.stringify(view))),
    ]);
  });

  test('of an order that has ended are its end', async () => {
    const order = newOrder();
    await api.place(order);
    const ended = await api.ended(order.orderKey);
    expect(await Array.fromAsync(api.follow(order.orderKey))).toEqual([ended]);
  });

  test('are told by any process, also by one that does not run the saga', async () => {
    const bystander = await shop.startService({ THROUGHLINE_RELAY: 'off' });
    const other = await readOrderApi(bystander.ready.url);
    const order = newOrder();
    await api.place(order);
    const ended = await other.ended(order.orderKey);
    expect(ended.state).toBe('confirmed');
    expect(ended).toEqual(await api.show(order.orderKey));
    await bystander.stop();
  });
});

/** The sagas that the database has for an order. */
async function sagasOf(orderKey: string): Promise<string[]> {
  const database = openDatabase({ connectionString: shop.databaseUrl, maxConnections: 1 });
  const { rows } = await database.query<{ id: string }>(
    'SELECT id FROM throughline.saga WHERE order_key = $1',
    [orderKey],
  );
  await database.close();
  return rows.map(({ id }) => id);
}
