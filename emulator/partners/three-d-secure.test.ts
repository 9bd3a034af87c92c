import { afterAll, beforeAll, expect, test } from 'vitest';
import { askPartner } from '../../test/support/ask-partner.ts';
import { escapeHtml, paymentPage } from './payment-page.ts';
import { type PartnersSandbox, startPartnersSandbox } from './sandbox.ts';

let sandbox: PartnersSandbox;
beforeAll(async () => {
  sandbox = await startPartnersSandbox();
});
afterAll(() => sandbox.close());

async function challenge(orderKey: string) {
  const returnUrl = 'http://shop.example/back?state=S%26T';
  const { body } = await askPartner(sandbox.url, 'payment/prepare', orderKey, {
    orderKey,
    amountMinor: 12_345,
    currency: 'EUR',
    returnUrl,
  });
  const { paymentId, challengeUrl } = body as { paymentId: string; challengeUrl: string };
  const capture = () => askPartner(sandbox.url, 'payment/capture', orderKey, { orderKey, paymentId });
  const press = (decision: string) =>
    fetch(challengeUrl, {
      method: 'POST',
      body: new URLSearchParams({ decision }),
      redirect: 'manual',
    });
  return { paymentId, challengeUrl, capture, press, orderKey };
}

test('shows a form with two buttons and no scripts', async () => {
  const { challengeUrl, paymentId } = await challenge('page');
  const page = await fetch(challengeUrl);
  const html = await page.text();
  expect(page.headers.get('content-type')).toContain('text/html');
  expect(html).toContain('123.45 EUR');
  expect(html).toContain(`action="/3ds/${paymentId}"`);
  expect(html.match(/<button/g)).toHaveLength(2);
  expect(html).not.toContain('<script');
});

test('sends the customer back with the query of the shop kept, and lets the payment be captured', async () => {
  const { press, capture, paymentId } = await challenge('approved');
  const answer = await press('approve');
  expect(answer.status).toBe(303);
  expect(answer.headers.get('location')).toBe(`http://shop.example/back?state=S%26T&paymentId=${paymentId}`);
  expect((await capture()).status).toBe(200);
});

test('refuses to capture what the customer declined', async () => {
  const { press, capture } = await challenge('declined');
  expect((await press('decline')).status).toBe(303);
  expect((await capture()).status).toBe(402);
});

test('is decided once: another button changes nothing, the same one leads back again', async () => {
  const { press, capture, challengeUrl } = await challenge('once');
  await press('decline');
  expect((await press('approve')).status).toBe(409);
  expect((await press('decline')).status).toBe(303);
  expect((await capture()).status).toBe(402);
  expect(await (await fetch(challengeUrl)).text()).not.toContain('<button');
});

test('sends a customer back who comes after the shop gave up, without authorising anything', async () => {
  const { press, capture, orderKey, paymentId } = await challenge('too-late');
  await askPartner(sandbox.url, 'payment/refund', 'too-late/undo', { orderKey, undoes: orderKey });
  expect((await press('approve')).status).toBe(303);
  expect((await capture()).status).toBe(409);
  const register = { orderKey, paymentId };
  expect((await askPartner(sandbox.url, 'payment/register-card', 'too-late/card', register)).status).toBe(
    409,
  );
});

test('refuses other decisions and knows no other payments', async () => {
  const { press, capture } = await challenge('nonsense');
  expect((await press('perhaps')).status).toBe(422);
  expect((await capture()).status).toBe(409);
  expect((await fetch(`${sandbox.url}/3ds/payment-999`)).status).toBe(404);
});

test('shows what came from outside as text', () => {
  expect(escapeHtml(`<b a="'">&`)).toBe('&#60;b a=&#34;&#39;&#34;&#62;&#38;');
  const { body } = paymentPage({
    paymentId: '"><script>',
    amountMinor: 100,
    currency: '<b>',
    returnUrl: 'http://shop.example',
    state: 'requires-action',
    decision: undefined,
  });
  expect(body).not.toMatch(/<script|<b>/);
});
