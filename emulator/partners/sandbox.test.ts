import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { askPartner } from '../../test/support/ask-partner.ts';
import { type PartnersSandbox, startPartnersSandbox } from './sandbox.ts';

let sandbox: PartnersSandbox;
beforeAll(async () => {
  sandbox = await startPartnersSandbox();
});
afterAll(() => sandbox.close());

const ask = (effect: string, key: string | undefined, body: unknown) =>
  askPartner(sandbox.url, effect, key, body);
const what = (orderKey: string) => sandbox.effects(orderKey).map(({ effect }) => effect);

const redeem = (orderKey: string, key = `${orderKey}/card`) =>
  ask('card/redeem', key, { orderKey, cardCode: 'CARD' });
const reactivate = (orderKey: string, key = `${orderKey}/undo`) =>
  ask('card/reactivate', key, { orderKey, undoes: `${orderKey}/card` });

test('answers a repeated key as before, with no second effect', async () => {
  const first = await redeem('repeated');
  const second = await redeem('repeated');
  expect(first).toMatchObject({ status: 200, body: { redemptionId: expect.any(String) } });
  expect(second.body).toEqual(first.body);
  expect(what('repeated')).toEqual(['redeem']);
  expect(sandbox.calls('repeated').map(({ arrival, answered }) => [arrival, answered])).toEqual([
    [1, 200],
    [2, 200],
  ]);
});

test('takes the same fields in another order for the same request', async () => {
  await ask('card/redeem', 'K-fields', { orderKey: 'fields', cardCode: 'CARD' });
  const again = await ask('card/redeem', 'K-fields', { cardCode: 'CARD', orderKey: 'fields' });
  expect(again.status).toBe(200);
});

test('refuses a key that was used for another request', async () => {
  await redeem('reused');
  const other = await ask('card/redeem', 'reused/card', { orderKey: 'reused', cardCode: 'ANOTHER' });
  expect(other).toMatchObject({ status: 422, body: { errors: [{ field: 'Idempotency-Key' }] } });
  expect(what('reused')).toEqual(['redeem']);
});

test('lets two keys cause two effects, as real partners do', async () => {
  await redeem('two', 'two/a');
  await redeem('two', 'two/b');
  expect(what('two')).toEqual(['redeem', 'redeem']);
});

test('undoes an effect once, whoever asks how often', async () => {
  await redeem('undone');
  expect((await reactivate('undone')).body).toMatchObject({ outcome: 'undone' });
  expect((await reactivate('undone')).body).toMatchObject({ outcome: 'undone' });
  expect((await reactivate('undone', 'undone/undo-again')).body).toEqual({ outcome: 'nothing-to-undo' });
  const [effect, undo, ...more] = sandbox.effects('undone');
  expect(undo?.undoes).toBe(effect?.reference);
  expect(effect?.undoneBy).toBe(undo?.reference);
  expect(more).toEqual([]);
});

test('refuses an effect that was undone before it arrived', async () => {
  expect((await reactivate('late')).body).toEqual({ outcome: 'nothing-to-undo' });
  expect(await redeem('late')).toMatchObject({ status: 409 });
  expect(what('late')).toEqual([]);
});

const prepare = (orderKey: string, amountMinor: number) =>
  ask('payment/prepare', `${orderKey}/pay`, {
    orderKey,
    amountMinor,
    currency: 'EUR',
    returnUrl: 'http://127.0.0.1/back',
  });
const capture = (orderKey: string, paymentId: unknown) =>
  ask('payment/capture', `${orderKey}/pay`, { orderKey, paymentId });
const refund = (orderKey: string, key = `${orderKey}/refund`) =>
  ask('payment/refund', key, { orderKey, undoes: `${orderKey}/pay` });

test('asks for 3-D Secure from 50.00 on', async () => {
  expect((await prepare('small', 4_999)).body).toMatchObject({ status: 'authorised' });
  const large = await prepare('large', 5_000);
  expect(large.body).toMatchObject({
    status: 'requires-action',
    challengeUrl: `${sandbox.url}/3ds/${large.body['paymentId']}`,
  });
  expect(await capture('large', large.body['paymentId'])).toMatchObject({ status: 409 });
});

test('refunds what was captured, and that once', async () => {
  const { paymentId } = (await prepare('refunded', 100)).body;
  expect((await capture('refunded', paymentId)).status).toBe(200);
  expect((await refund('refunded')).body).toMatchObject({ outcome: 'undone' });
  expect((await refund('refunded', 'refunded/again')).body).toEqual({ outcome: 'nothing-to-undo' });
  const rows = sandbox.effects('refunded');
  const [prepared, captured, refunded] = rows;
  expect(rows.map(({ effect }) => effect)).toEqual(['prepare', 'capture', 'refund']);
  expect(refunded?.undoes).toBe(captured?.reference);
  expect([prepared?.undoneBy, captured?.undoneBy]).toEqual([refunded?.reference, refunded?.reference]);
});

test('voids what was only prepared, so that it cannot be captured any more', async () => {
  const { paymentId } = (await prepare('voided', 100)).body;
  expect((await refund('voided')).body).toMatchObject({ outcome: 'undone' });
  expect((await capture('voided', paymentId)).status).toBe(409);
  const register = { orderKey: 'voided', paymentId };
  expect((await ask('payment/register-card', 'voided/card', register)).status).toBe(409);
  expect(what('voided')).toEqual(['prepare', 'refund']);
});

test('says of a key what became of it, for whoever lost the answer', async () => {
  const { paymentId } = (await prepare('asked', 100)).body;
  const lookUp = async (path: string) => {
    const response = await fetch(`${sandbox.url}/v1/${path}`);
    return [response.status, ((await response.json()) as { effect?: string }).effect];
  };
  expect(await lookUp('payment/effects/asked%2Fpay')).toEqual([200, 'prepare']);
  await capture('asked', paymentId);
  expect(await lookUp('payment/effects/asked%2Fpay')).toEqual([200, 'capture']);
  expect(await lookUp('payment/effects/asked%2Fpay?effect=prepare')).toEqual([200, 'prepare']);
  expect(await lookUp('payment/effects/unknown')).toEqual([404, undefined]);
  expect(await lookUp('payment/effects/%E0%A4%A')).toEqual([404, undefined]);
});

test.each([
  ['card/redeem', { orderKey: 'bad' }, 'cardCode'],
  ['card/redeem', { orderKey: 'bad', cardCode: 'C', extra: 1 }, 'body'],
  ['account/verify', { orderKey: 'bad', email: 'nobody' }, 'email'],
  ['registrar/acquire', { orderKey: 'bad', domain: 'not a domain' }, 'domain'],
  ['card/reactivate', { orderKey: 'bad' }, 'undoes'],
  ['mail/send', { email: 'a@b.example', template: 'T' }, 'orderKey'],
  ['payment/prepare', { orderKey: 'bad', amountMinor: 0.5, currency: 'EUR' }, 'amountMinor'],
])('refuses a bad %s with problem details that name the field', async (effect, body, field) => {
  const answer = await ask(effect, 'bad', body);
  expect(answer.status).toBe(422);
  expect(answer.headers.get('content-type')).toBe('application/problem+json');
  expect(answer.body['errors']).toContainEqual({ field, detail: expect.any(String) });
  expect(sandbox.effects('bad')).toEqual([]);
});

test('sends no customer to anything but a web page', async () => {
  const body = { orderKey: 'script', amountMinor: 9_000, currency: 'EUR', returnUrl: 'javascript:alert(1)' };
  expect((await ask('payment/prepare', 'script', body)).body['errors']).toEqual([
    { field: 'returnUrl', detail: expect.any(String) },
  ]);
});

test('requires an idempotency key and a JSON object', async () => {
  const body = { orderKey: 'strict', cardCode: 'C' };
  expect(await ask('card/redeem', undefined, body)).toMatchObject({
    status: 400,
    body: { errors: [{ field: 'Idempotency-Key' }] },
  });
  expect((await ask('card/redeem', 'k'.repeat(257), body)).status).toBe(400);
  for (const text of ['', '{', '[]', 'null', '7'])
    expect((await ask('card/redeem', 'K', text)).status).toBe(400);
});

test('refuses a body of more than 64 KiB', async () => {
  const cardCode = 'x'.repeat(1024 * 1024);
  expect((await ask('card/redeem', 'K-large', { orderKey: 'large-body', cardCode })).status).toBe(413);
  expect(sandbox.calls('large-body')).toEqual([]);
});

test('knows neither other effects nor other methods nor paths that cannot be read', async () => {
  expect((await ask('card/steal', 'K', {})).status).toBe(404);
  expect((await ask('constructor/prototype', 'K', {})).status).toBe(404);
  expect((await fetch(`${sandbox.url}/v1/card/redeem`)).status).toBe(405);
  const socket = connect(Number(new URL(sandbox.url).port), '127.0.0.1');
  socket.write('GET // HTTP/1.1\r\nhost: sandbox\r\nconnection: close\r\n\r\n');
  const [chunk] = await once(socket, 'data');
  expect(String(chunk)).toContain('400 Bad Request');
});

test('breaks what is under way when it closes', async () => {
  const own = await startPartnersSandbox();
  own.faults.add({ kind: 'latency', latencyMs: 60_000 });
  const pending = askPartner(own.url, 'card/redeem', 'K', { orderKey: 'closing', cardCode: 'C' });
  const failed = expect(pending).rejects.toThrow('fetch failed');
  await expect.poll(() => own.calls('closing')).toHaveLength(1);
  await Promise.all([own.close(), own.close()]);
  await failed;
  expect(own.effects()).toEqual([]);
});
