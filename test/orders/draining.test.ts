import { expect, onTestFinished, test } from 'vitest';
import { newOrder, readOrderApi } from '../support/order-api.ts';
import { startShop } from '../support/shop.ts';

test('a worker with THROUGHLINE_DRAIN_MS=0 hands a running job back at once, and another one does it', async () => {
  const shop = await startShop();
  onTestFinished(() => shop.close());
  const service = await shop.startService();
  const hasty = await shop.startWorker({ THROUGHLINE_DRAIN_MS: '0' });
  const api = await readOrderApi(service.ready.url);
  const order = newOrder();
  const { orderKey } = order;
  const setUps = () => shop.sandbox.calls(orderKey).filter(({ effect }) => effect === 'set-up').length;
  // Were it left to finish, the partner would be asked once.
  const slow = { kind: 'latency', latencyMs: 3_000, times: 1 } as const;
  shop.sandbox.faults.add({ partner: 'workspace', effect: 'set-up', orderKey, ...slow });
  await api.place(order);
  await expect.poll(setUps).toBe(1);
  const [code] = await Promise.all([hasty.exited, hasty.stop()]);
  expect(code).toBe(0);
  await shop.startWorker();
  expect((await api.ended(orderKey)).state).toBe('confirmed');
  expect(setUps()).toBeGreaterThan(1);
  expect(shop.effects(orderKey).filter((effect) => effect === 'workspace/set-up')).toHaveLength(1);
});
