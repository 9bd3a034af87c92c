import { expect, onTestFinished, test } from 'vitest';
import { type Exposition, readExposition } from '../support/exposition.ts';
import { newOrder, readOrderApi } from '../support/order-api.ts';
import { startShop } from '../support/shop.ts';
import { type Hostility, startHostileReceiver } from './hostile-receiver.ts';

const ORDERS = 12;
/** Each stands for one way in which an export ends: refused, never, with an answer, with an answer that means wait. */
const KINDS = ['dead', 'silent', 'failing', 'throttling'] as const satisfies readonly Hostility[];

const lost = ({ samples }: Exposition) =>
  samples
    .filter(({ name }) => name === 'throughline_spans_dropped_total')
    .reduce((total, { value }) => total + value, 0);

test.each(KINDS)(
  'with a receiver that is %s orders go on, spans are counted as lost, and processes end',
  async (kind) => {
    const receiver = await startHostileReceiver(kind);
    onTestFinished(() => receiver.close());
    const shop = await startShop({
      settings: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint, OTEL_EXPORTER_PROMETHEUS_PORT: '0' },
    });
    onTestFinished(() => shop.close());
    const [service, worker] = await Promise.all([shop.startService(), shop.startWorker()]);
    const api = await readOrderApi(service.ready.url);
    shop.sandbox.faults.add({ partner: 'registrar', effect: 'acquire', kind: 'refuse', times: 1 });
    const states = await Promise.all(
      Array.from({ length: ORDERS }, async () => {
        const order = newOrder();
        await api.place(order);
        return (await api.ended(order.orderKey)).state;
      }),
    );
    expect(states.toSorted()).toEqual([
      'compensated',
      ...Array.from({ length: ORDERS - 1 }, () => 'confirmed'),
    ]);
    const { metricsUrl } = service.ready as unknown as { metricsUrl: string };
    const losses = async () => lost(readExposition(await (await fetch(metricsUrl)).text()));
    await expect.poll(losses).toBeGreaterThan(0);
    for (const child of [service, worker]) {
      await child.stop(); // which kills after a while, and then there is no exit code
      expect(await child.exited).toBe(0);
    }
  },
);
