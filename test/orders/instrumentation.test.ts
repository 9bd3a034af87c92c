import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { decideAtBank } from '../../scripts/system/browser.ts';
import { findDisconnections, type SpanRecord } from '../../testing/index.ts';
import { runToEnd } from '../support/child-process.ts';
import { newOrder, type OrderApi, readOrderApi } from '../support/order-api.ts';
import { PATIENCE_MS } from '../support/patience.ts';
import { type Shop, startShop } from '../support/shop.ts';

let shop: Shop;
let api: OrderApi;
beforeAll(async () => {
  shop = await startShop();
  const [service] = await Promise.all([shop.startService(), shop.startWorker()]);
  api = await readOrderApi(service.ready.url);
});
afterAll(() => shop.close());

/** The order's spans, once it has been told to its end and they are connected. */
function story(orderKey: string): Promise<SpanRecord[]> {
  return shop.store.waitFor(
    (store) => {
      const spans = store.byOrder(orderKey);
      const isTold = spans.some(({ attributes }) => attributes['saga.outcome'] !== undefined);
      return isTold && findDisconnections(spans, orderKey).length === 0 && spans;
    },
    { timeoutMs: PATIENCE_MS },
  );
}

function only(spans: readonly SpanRecord[], name: string): SpanRecord {
  const [span, ...others] = spans.filter((each) => each.name === name);
  if (!span || others.length > 0)
    throw new Error(`${others.length + (span ? 1 : 0)} spans are named ${name}`);
  return span;
}

const TRACE_ID = '0af7651916cd43dd8448eb211c80319c';
const CALLER = '00f067aa0ba902b7';
const called = { traceparent: `00-${TRACE_ID}-${CALLER}-01`, baggage: 'order.event_id=O-forged,sagaId=x' };

describe("an order's trace", () => {
  test('has the request, its handler, its statements, its partners, and the facts of the business', async () => {
    const order = newOrder({ items: [{ sku: 'workspace-standard', quantity: 3 }] });
    const { orderKey } = order;
    await api.place(order);
    await api.ended(orderKey);
    const spans = await story(orderKey);
    const business = { 'order.event_id': orderKey, 'order.items_count': 3, 'order.amount_minor': 4_080 };

    const request = only(spans, 'POST /orders');
    expect(request).toMatchObject({ kind: 'SERVER', attributes: { ...business, 'order.currency': 'EUR' } });
    expect(request).not.toHaveProperty('parentSpanId');
    expect(request.attributes).toMatchObject({ 'http.route': '/orders', 'http.response.status_code': 202 });

    const handler = spans.find(({ attributes }) => attributes['express.type'] === 'request_handler');
    expect(handler?.parentSpanId).toBe(request.spanId);
    const statements = spans.filter(
      ({ name, parentSpanId }) => /^pg\.query:/.test(name) && parentSpanId === handler?.spanId,
    );
    expect(statements.map(({ name }) => name)).toEqual(
      expect.arrayContaining([expect.stringContaining('INSERT'), expect.stringContaining('COMMIT')]),
    );

    const saga = only(spans, 'saga workspace-card-order');
    expect(saga).toMatchObject({ attributes: { 'saga.outcome': 'confirmed' }, status: { code: 'UNSET' } });
    expect(only(spans, 'step settle-payment').attributes).toMatchObject(business);
    for (const step of spans.filter(({ name }) => name.startsWith('step ')))
      expect(step.parentSpanId).toBe(saga.spanId);

    const call = only(spans, 'card.redeem');
    expect(call).toMatchObject({
      kind: 'CLIENT',
      attributes: { 'peer.service': 'card', 'partner.outcome': 'done' },
    });
    const [sent] = spans.filter(({ parentSpanId }) => parentSpanId === call.spanId);
    expect(sent).toMatchObject({ kind: 'CLIENT', name: 'POST' });
    // The sandbox runs in this process, which is not traced; that its spans lie below is test/partners/tracing.test.ts'.
    expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(1);
    for (const span of spans) expect(span.attributes['order.event_id'], span.name).toBe(orderKey);
  });

  test('of an order that is compensated says so, and why', async () => {
    const order = newOrder({ items: [{ sku: 'workspace-plus', quantity: 10 }] });
    await api.place(order);
    const { action } = await api.until(order.orderKey, (view) => view.action !== undefined);
    await decideAtBank(action?.url ?? '', 'decline');
    await api.ended(order.orderKey);
    const spans = await story(order.orderKey);
    const saga = only(spans, 'saga workspace-card-order');
    expect(saga).toMatchObject({
      attributes: { 'saga.outcome': 'compensated' },
      status: { code: 'ERROR' },
    });
    const back = only(spans, 'GET /orders/:orderKey/3ds-return');
    const resume = only(spans, 'resume workspace-card-order');
    expect(back.traceId).not.toBe(saga.traceId);
    expect(resume.links.map(({ traceId }) => traceId)).toContain(back.traceId);
    expect(back.attributes['url.query']).toMatch(/^state=REDACTED(&|$)/);
    const undo = only(spans, 'compensate redeem-card');
    const original = only(spans, 'step redeem-card');
    expect(undo.attributes).toMatchObject({
      'saga.compensation.original_trace_id': original.traceId,
      'saga.compensation.original_span_id': original.spanId,
    });
    const linked = undo.links.map(({ spanId }) => spanId);
    expect(linked).toEqual(
      expect.arrayContaining([original.spanId, only(spans, 'step settle-payment').spanId]),
    );
  });
});

describe("a caller's trace", () => {
  test('is linked and not continued, and its baggage is not believed, unless it is trusted', async () => {
    const order = newOrder();
    await api.place(order, called);
    await api.ended(order.orderKey);
    const spans = await story(order.orderKey);
    const request = only(spans, 'POST /orders');
    expect(request.traceId).not.toBe(TRACE_ID);
    expect(request).not.toHaveProperty('parentSpanId');
    expect(request.links).toContainEqual(expect.objectContaining({ traceId: TRACE_ID, spanId: CALLER }));
    expect(JSON.stringify(spans)).not.toContain('O-forged');
  });

  test('that is malformed is nothing at all', async () => {
    const order = newOrder();
    expect((await api.place(order, { traceparent: '00-zero-one-two' })).status).toBe(202);
    await api.ended(order.orderKey);
    const request = only(await story(order.orderKey), 'POST /orders');
    expect(request.links).toEqual([]);
  });

  test('is continued with THROUGHLINE_TRUST_TRACEPARENT=true', async () => {
    const settings = { THROUGHLINE_TRUST_TRACEPARENT: 'true', THROUGHLINE_RELAY: 'off' };
    const trusting = await shop.startService(settings);
    const at = await readOrderApi(trusting.ready.url);
    const order = newOrder();
    const { traceparent } = called;
    await at.place(order, { traceparent });
    await at.ended(order.orderKey);
    const request = await shop.store.waitFor(
      (store) => store.byTrace(TRACE_ID).find(({ name }) => name === 'POST /orders'),
      { timeoutMs: PATIENCE_MS },
    );
    expect(request).toMatchObject({ parentSpanId: CALLER, attributes: { 'order.event_id': order.orderKey } });
    expect((await at.show(order.orderKey)).traceId).toBe(TRACE_ID);
    await trusting.stop();
  });
});

test('those who ask whether the process is well leave no spans', async () => {
  const own = await startShop();
  try {
    const service = await own.startService();
    const at = await readOrderApi(service.ready.url);
    for (const path of ['/healthz', '/readyz', '/healthz?probe=1'])
      expect((await at.request('GET', path)).status).toBe(200);
    expect((await at.request('GET', '/orders/O-nobody')).status).toBe(404);
    await service.stop(); // which sends what is left
    expect(own.received.map(({ attributes }) => attributes['http.response.status_code'])).toContain(404);
    expect(JSON.stringify(own.received)).not.toMatch(/healthz|readyz/);
  } finally {
    await own.close();
  }
});

describe('a main file', () => {
  test.each([
    {
      mistake: 'imports express before it calls instrument()',
      main: 'express-before-instrument',
      said: /express/,
    },
    {
      mistake: 'forgets to call instrument()',
      main: 'not-instrumented',
      said: /node:http, express, pg, fetch/,
    },
  ])('that $mistake does not start, and says so', async ({ main, said }) => {
    const { exitCode, stderr } = await runToEnd(process.execPath, [`test/orders/fixtures/${main}.ts`]);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^NotInstrumentedError: not traced: /m);
    expect(stderr).toMatch(said);
  });
});
