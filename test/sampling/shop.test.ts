import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findDisconnections, type SpanRecord } from '../../testing/index.ts';
import { newOrder, type OrderApi, readOrderApi } from '../support/order-api.ts';
import { type Shop, startShop } from '../support/shop.ts';

/** Nothing is kept but what is the matter; and nothing is slow, however slow this machine is. */
const SAMPLING = {
  OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
  OTEL_TRACES_SAMPLER_ARG: '0',
  THROUGHLINE_SLOW_MS: '600000',
};

describe.each(['buffered', 'before-commit'])(
  'the shop as processes that keep no order by chance, spans %s',
  (spans) => {
    let shop: Shop;
    let api: OrderApi;
    beforeAll(async () => {
      shop = await startShop({ settings: { ...SAMPLING, THROUGHLINE_SPANS: spans } });
      const [service] = await Promise.all([shop.startService(), shop.startWorker()]);
      api = await readOrderApi(service.ready.url);
    });
    afterAll(() => shop.close());

    /** The order's spans, once they are one tree with a saga. */
    const whole = (orderKey: string): Promise<readonly SpanRecord[]> =>
      shop.store.waitFor(
        (store) => {
          const own = store.byOrder(orderKey);
          const isTold = own.some(({ name }) => name === 'saga workspace-card-order');
          return isTold && findDisconnections(own, orderKey).length === 0 && own;
        },
        { timeoutMs: 15_000 },
      );
    const stepsOf = (own: readonly SpanRecord[]) =>
      new Set(own.filter(({ name }) => name.startsWith('step ')).map(({ name }) => name.slice(5)));

    test('of an order that goes well nothing is told; one whose job dies is told with each of its steps', async () => {
      const plain = newOrder();
      await api.place(plain);
      expect((await api.ended(plain.orderKey)).state).toBe('confirmed');
      const failing = newOrder();
      const { orderKey } = failing;
      shop.sandbox.faults.add({ orderKey, partner: 'workspace', effect: 'set-up', kind: 'refuse' });
      await api.place(failing);
      const ended = await api.ended(orderKey);
      expect(ended.state).toBe('compensated');
      const own = await whole(orderKey);
      const ran = ended.steps.filter(({ attempts }) => attempts > 0).map(({ name }) => name);
      expect(stepsOf(own)).toEqual(new Set(ran));
      const compensated = ended.steps.filter(({ compensation }) => compensation.status === 'undone');
      for (const { name } of compensated)
        expect(own.map((span) => span.name)).toContain(`compensate ${name}`);
      const process = own.find(({ name, status }) => name.startsWith('process ') && status.code === 'ERROR');
      expect(process).toMatchObject({ service: 'order-worker', attributes: { 'throughline.kept': 'error' } });
      expect(own.some(({ parentSpanId }) => parentSpanId === process?.spanId)).toBe(true); // with what is below it
      expect(
        shop.received.filter(({ attributes }) => attributes['order.event_id'] === plain.orderKey),
      ).toEqual([]);
    });

    test('a confirmed order is told when a call of its worker failed at first', async () => {
      const order = newOrder();
      const { orderKey } = order;
      shop.sandbox.faults.add({ orderKey, partner: 'workspace', effect: 'set-up', kind: 'error', times: 1 });
      await api.place(order);
      const ended = await api.ended(orderKey);
      expect(ended.state).toBe('confirmed');
      expect(stepsOf(await whole(orderKey))).toEqual(new Set(ended.steps.map(({ name }) => name)));
    });
  },
);
