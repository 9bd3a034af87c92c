import { afterAll, beforeAll, expect, test } from 'vitest';
import { decideAtBank } from '../../scripts/system/browser.ts';
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

/** Large enough that the bank wants to see the customer. */
const largeOrder = () => newOrder({ items: [{ sku: 'workspace-plus', quantity: 10 }] });

/** An order that waits, and the bank's page for it. */
async function waiting(at = api) {
  const { orderKey } = (await at.place(largeOrder())).body as { orderKey: string };
  const order = await at.until(orderKey, ({ action }) => action !== undefined);
  const challengeUrl = order.action?.url ?? '';
  const page = new URL(challengeUrl);
  /** What the bank sends the browser back to. */
  const returnPath = async (decision: string) => {
    const pressed = await fetch(page, {
      method: 'POST',
      body: new URLSearchParams({ decision }),
      redirect: 'manual',
    });
    const back = new URL(pressed.headers.get('location') ?? '');
    return back.pathname + back.search;
  };
  return { orderKey, order, challengeUrl, returnPath };
}

const withState = (path: string, change: (state: string) => string) => {
  const changed = new URL(path, 'http://shop');
  changed.searchParams.set('state', change(changed.searchParams.get('state') ?? ''));
  return changed.pathname + changed.search;
};

test('the order shows where the customer has to go and until when, and goes on when they come back', async () => {
  const { orderKey, order, challengeUrl } = await waiting();
  expect(order.state).toBe('waiting');
  expect(Date.parse(order.action?.expiresAt ?? '') - Date.parse(order.placedAt)).toBeGreaterThan(600_000);
  const page = await (await fetch(challengeUrl)).text();
  expect(page).not.toMatch(/<script|state=|shop\.example/);
  expect(await decideAtBank(challengeUrl, 'approve')).toBe(303);
  const ended = await api.ended(orderKey);
  expect(ended).toMatchObject({ state: 'confirmed' });
  expect(ended.action).toBeUndefined();
  expect(shop.effects(orderKey).filter((effect) => effect === 'payment/capture')).toHaveLength(1);
});

test('the return leads to the page of the order, and is good for one use', async () => {
  const { orderKey, returnPath } = await waiting();
  const path = await returnPath('approve');
  const first = await api.request('GET', path);
  expect(first.status).toBe(303);
  expect(first.headers.get('location')).toBe(`/orders/${orderKey}`);
  const again = await api.request('GET', path);
  expect(again.status).toBe(409);
  expect(problemOf(again).type).toBe('urn:throughline:problem:state-used');
  await api.ended(orderKey);
  expect((await api.request('GET', path)).status).toBe(410);
  expect(shop.effects(orderKey).filter((effect) => effect === 'payment/capture')).toHaveLength(1);
});

test('ten returns at once resume the order once', async () => {
  const { orderKey, returnPath } = await waiting();
  const path = await returnPath('approve');
  const answers = await Promise.all(Array.from({ length: 10 }, () => api.request('GET', path)));
  const statuses = answers.map(({ status }) => status);
  expect(statuses.toSorted()).toEqual([303, ...Array.from({ length: 9 }, () => 409)]);
  expect((await api.ended(orderKey)).state).toBe('confirmed');
  expect(shop.effects(orderKey).filter((effect) => effect === 'payment/capture')).toHaveLength(1);
});

test('a state that is forged, cut, of another order or missing resumes nothing', async () => {
  const [own, other] = await Promise.all([waiting(), waiting()]);
  const path = await own.returnPath('approve');
  const otherPath = await other.returnPath('approve');
  const stranger = new URL(otherPath, 'http://shop').searchParams.get('state') ?? '';
  const forged = [
    (state: string) => state.slice(0, -2),
    (state: string) => state.split('.')[0] ?? '',
    (state: string) => state.replace(/^[^.]+/, Buffer.from('another saga').toString('base64url')),
    (state: string) => state.replace(/\.(.)/, (_, first) => `.${first === 'A' ? 'B' : 'A'}`),
    () => stranger,
    () => 'x'.repeat(1_000),
  ];
  for (const change of forged) {
    const refused = await api.request('GET', withState(path, change));
    expect(refused.status).toBe(403);
    expect(problemOf(refused).type).toBe('urn:throughline:problem:state-not-ours');
  }
  for (const query of ['', '?state=', `?state=${'x'.repeat(1_025)}`]) {
    const refused = await api.request('GET', `/orders/${own.orderKey}/3ds-return${query}`);
    expect(refused).toMatchObject({ status: 422, body: { errors: [{ field: 'state' }] } });
  }
  expect((await api.request('GET', `/orders/no%20key/3ds-return?state=x`)).status).toBe(404);
  expect((await api.show(own.orderKey)).state).toBe('waiting');
  expect((await api.request('GET', otherPath)).status).toBe(303);
  expect((await api.ended(other.orderKey)).state).toBe('confirmed');
  expect((await api.show(own.orderKey)).state).toBe('waiting');
});

test('whoever brings the return without having been at the bank gets nothing: the bank is asked', async () => {
  const { orderKey, returnPath } = await waiting();
  // The customer declined, and the browser pretends otherwise: there is nothing in the return that could say so.
  const path = `${await returnPath('decline')}&decision=approve&approved=true`;
  expect((await api.request('GET', path)).status).toBe(303);
  const ended = await api.ended(orderKey);
  expect(ended.state).toBe('compensated');
  expect(shop.effects(orderKey)).not.toContain('payment/capture');
});

test('a declined payment compensates what was before it', async () => {
  const { orderKey, challengeUrl } = await waiting();
  expect(await decideAtBank(challengeUrl, 'decline')).toBe(303);
  const ended = await api.ended(orderKey);
  expect(ended).toMatchObject({ state: 'compensated', reason: expect.stringContaining('declined') });
  expect(shop.effects(orderKey)).toEqual([
    'account/verify',
    'card/redeem',
    'payment/prepare',
    'payment/refund',
    'card/reactivate',
  ]);
});

test('whoever comes back after the time was over is told so, and the order stays compensated', async () => {
  const impatient = await shop.startService({ THROUGHLINE_3DS_TIMEOUT_MS: '500', THROUGHLINE_RELAY: 'off' });
  const at = await readOrderApi(impatient.ready.url);
  const { orderKey, returnPath } = await waiting(at);
  expect((await at.ended(orderKey)).state).toBe('compensated');
  const refused = await at.request('GET', await returnPath('approve'));
  expect(refused.status).toBe(410);
  expect(problemOf(refused).type).toBe('urn:throughline:problem:too-late');
  expect((await at.show(orderKey)).state).toBe('compensated');
  expect(shop.effects(orderKey)).not.toContain('payment/capture');
  await impatient.stop();
});

test('a return to another process of the service resumes the order too', async () => {
  const other = await shop.startService({ THROUGHLINE_RELAY: 'off' });
  const elsewhere = await readOrderApi(other.ready.url);
  const { orderKey, returnPath } = await waiting();
  expect((await elsewhere.request('GET', await returnPath('approve'))).status).toBe(303);
  expect((await api.ended(orderKey)).state).toBe('confirmed');
  await other.stop();
});
