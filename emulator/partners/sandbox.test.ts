import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MAX_BODY_BYTES } from './body.ts';
import { type PartnersSandbox, startPartnersSandbox } from './sandbox.ts';
import { createSandboxClient } from './sandbox-client.ts';

let sandbox: PartnersSandbox;
beforeAll(async () => {
  sandbox = await startPartnersSandbox();
});
afterAll(() => sandbox.close());

let orders = 0;
const newOrder = () => `O-${++orders}`;

const call = async (path: string, body: unknown, headers: Record<string, string> = {}) => {
  const response = await fetch(`${sandbox.url}${path}`, {
    method: 'POST',
    headers,
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return { status: response.status, body: JSON.parse(await response.text()) };
};
const act = (what: string, key: string, body: object) =>
  call(`/v1/${what}`, body, { 'idempotency-key': key });
const happened = (orderKey: string) =>
  sandbox.effects(orderKey).map(({ partner, effect }) => `${partner}/${effect}`);
const redemption = (orderKey: string) => ({ orderKey, cardCode: 'WS-CARD-1' });

describe('an idempotency key', () => {
  test('is asked for', async () => {
    const orderKey = newOrder();
    expect(await call('/v1/card/redeem', redemption(orderKey))).toMatchObject({ status: 400 });
    expect(happened(orderKey)).toEqual([]);
  });

  test('that is repeated gets the first answer and no second effect', async () => {
    const orderKey = newOrder();
    const first = await act('card/redeem', `${orderKey}/key`, redemption(orderKey));
    expect(first.status).toBe(200);
    // The same fields in another order are the same request.
    const { cardCode } = redemption(orderKey);
    expect(await act('card/redeem', `${orderKey}/key`, { cardCode, orderKey })).toEqual(first);
    expect(happened(orderKey)).toEqual(['card/redeem']);
    expect(sandbox.calls(orderKey).map(({ arrival }) => arrival)).toEqual([1, 2]);
  });

  test('that comes with another request is refused', async () => {
    const orderKey = newOrder();
    await act('card/redeem', `${orderKey}/key`, redemption(orderKey));
    const other = { ...redemption(orderKey), cardCode: 'ANOTHER' };
    expect(await act('card/redeem', `${orderKey}/key`, other)).toMatchObject({
      status: 422,
      body: { errors: [{ field: 'Idempotency-Key' }] },
    });
    expect(happened(orderKey)).toEqual(['card/redeem']);
  });

  test('whose request was refused may be tried again', async () => {
    const orderKey = newOrder();
    sandbox.faults.add({ partner: 'card', effect: 'redeem', orderKey, kind: 'refuse', times: 1 });
    expect((await act('card/redeem', `${orderKey}/key`, redemption(orderKey))).status).toBe(422);
    expect((await act('card/redeem', `${orderKey}/key`, redemption(orderKey))).status).toBe(200);
  });
});

describe('what is undone', () => {
  test('is named by the key of its call, and undone once, whoever asks how often', async () => {
    const orderKey = newOrder();
    await act('card/redeem', `${orderKey}/do`, redemption(orderKey));
    const undo = (key: string) => act('card/reactivate', key, { orderKey, undoes: `${orderKey}/do` });
    expect((await undo(`${orderKey}/undo`)).body).toMatchObject({ outcome: 'undone' });
    expect((await undo(`${orderKey}/undo`)).body).toMatchObject({ outcome: 'undone' });
    expect((await undo(`${orderKey}/undo-2`)).body).toEqual({ outcome: 'nothing-to-undo' });
    expect(happened(orderKey)).toEqual(['card/redeem', 'card/reactivate']);
  });

  test('before it arrived does not happen any more', async () => {
    const orderKey = newOrder();
    const undo = { orderKey, undoes: `${orderKey}/do` };
    expect((await act('card/reactivate', `${orderKey}/undo`, undo)).body).toEqual({
      outcome: 'nothing-to-undo',
    });
    const late = await act('card/redeem', `${orderKey}/do`, redemption(orderKey));
    expect(late).toMatchObject({ status: 409, body: { title: 'this was undone before it arrived' } });
    expect(happened(orderKey)).toEqual([]);
  });

  test('leaves a payment that can neither be captured nor decided any more', async () => {
    const orderKey = newOrder();
    const request = { orderKey, amountMinor: 6_800, currency: 'EUR', returnUrl: 'http://127.0.0.1/back' };
    const { body: payment } = await act('payment/prepare', `${orderKey}/pay`, request);
    await act('payment/refund', `${orderKey}/undo`, { orderKey, undoes: `${orderKey}/pay` });
    const decided = await fetch(payment.challengeUrl, {
      method: 'POST',
      body: new URLSearchParams({ decision: 'approve' }),
      redirect: 'manual',
    });
    expect(decided.status).toBe(303); // the customer is sent back all the same
    const { paymentId } = payment;
    const capture = await act('payment/capture', `${orderKey}/pay`, { orderKey, paymentId });
    expect(capture.status).toBe(409);
    expect(happened(orderKey)).toEqual(['payment/prepare', 'payment/refund']);
  });
});

describe('a request', () => {
  test.each([
    { what: 'to nobody', path: '/v1/coffee/brew', body: {}, status: 404 },
    { what: 'to an inherited name', path: '/v1/constructor/name', body: {}, status: 404 },
    { what: 'that is no JSON', path: '/v1/card/redeem', body: '{oops', status: 400 },
    { what: 'that is no object', path: '/v1/card/redeem', body: '[]', status: 400 },
    {
      what: 'with a field too many',
      path: '/v1/card/redeem',
      body: { ...redemption('x'), a: 1 },
      status: 422,
    },
    { what: 'with a field missing', path: '/v1/card/redeem', body: { orderKey: 'x' }, status: 422 },
    {
      what: 'that would send a browser into a script',
      path: '/v1/payment/prepare',
      body: { orderKey: 'x', amountMinor: 1, currency: 'EUR', returnUrl: 'javascript:alert(1)' },
      status: 422,
    },
    { what: 'that is too large', path: '/v1/card/redeem', body: 'x'.repeat(MAX_BODY_BYTES + 1), status: 413 },
  ])('$what is refused with $status', async ({ path, body, status }) => {
    expect((await call(path, body, { 'idempotency-key': 'refused' })).status).toBe(status);
  });

  test('that only asks does nothing', async () => {
    const response = await fetch(`${sandbox.url}/v1/card/redeem`);
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe('POST');
  });

  test('after a lost answer finds the effect by its key', async () => {
    const orderKey = newOrder();
    const key = `${orderKey}/step one`;
    await act('card/redeem', key, redemption(orderKey));
    const find = async (name: string) => {
      const response = await fetch(`${sandbox.url}/v1/card/effects/${encodeURIComponent(name)}`);
      return { status: response.status, body: JSON.parse(await response.text()) };
    };
    expect(await find(key)).toMatchObject({ status: 200, body: { effect: 'redeem', idempotencyKey: key } });
    expect((await find('never used')).status).toBe(404);
  });
});

test('the bank wants to see the customer of amounts from 50.00 on', async () => {
  const prepare = async (amountMinor: number) => {
    const orderKey = newOrder();
    const request = { orderKey, amountMinor, currency: 'EUR', returnUrl: 'http://127.0.0.1:9/back' };
    return (await act('payment/prepare', `${orderKey}/pay`, request)).body;
  };
  expect(await prepare(5_000)).toMatchObject({ status: 'requires-action' });
  expect(await prepare(4_999)).toMatchObject({ status: 'authorised' });
});

test('closing breaks what it is slow with, and can be done twice', async () => {
  const own = await startPartnersSandbox();
  own.faults.add({ kind: 'latency', latencyMs: 60_000 });
  const client = createSandboxClient(own.url);
  const slow = fetch(`${own.url}/v1/card/redeem`, {
    method: 'POST',
    headers: { 'idempotency-key': 'slow' },
    body: JSON.stringify(redemption('O-slow')),
  }).catch((error: unknown) => error);
  await client.called({ orderKey: 'O-slow', partner: 'card', effect: 'redeem' });
  await Promise.all([own.close(), own.close()]);
  expect(await slow).toBeInstanceOf(TypeError);
  expect(own.effects()).toEqual([]);
});
