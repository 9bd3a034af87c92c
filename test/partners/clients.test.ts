import { afterAll, beforeAll, expect, test } from 'vitest';
import { judgeLedger } from '../../emulator/partners/judge.ts';
import { type PartnersSandbox, startPartnersSandbox } from '../../emulator/partners/sandbox.ts';
import { createPartners, type Partners } from '../../orders/partners/partners.ts';
import { decideAtBank } from '../../scripts/system/browser.ts';

let sandbox: PartnersSandbox;
let partners: Partners;
beforeAll(async () => {
  sandbox = await startPartnersSandbox();
  partners = createPartners({ baseUrl: sandbox.url });
});
afterAll(() => sandbox.close());

const EMAIL = 'owner@shop.example';
const DOMAIN = 'shop.example';
/** The sandbox's own page plays the shop that the customer comes back to. */
const returnUrl = () => `${sandbox.url}/sandbox/effects?orderKey=nobody`;

test('every partner does what an order needs, once', async () => {
  const { account, card, payment, registrar, workspace, mail } = partners;
  const call = (step: string) => ({ orderKey: 'O-1', idempotencyKey: `O-1/${step}` });
  await account.verify({ email: EMAIL }, call('verify'));
  await card.redeem({ cardCode: 'CARD' }, call('card'));
  const amount = { amountMinor: 4_999, currency: 'EUR', returnUrl: returnUrl() };
  const prepared = await payment.prepare(amount, call('pay'));
  expect(prepared.status).toBe('authorised');
  const { paymentId } = prepared;
  await payment.capture({ paymentId }, call('pay'));
  await payment.registerCard({ paymentId }, call('register'));
  await registrar.acquire({ domain: DOMAIN }, call('domain'));
  await workspace.setUp({ domain: DOMAIN, email: EMAIL }, call('workspace'));
  await mail.send({ email: EMAIL, template: 'order-confirmed' }, call('mail'));
  expect(judgeLedger(sandbox.effects('O-1'))).toMatchObject({
    standing: [
      'account/verify',
      'card/redeem',
      'payment/prepare',
      'payment/capture',
      'payment/register-card',
      'registrar/acquire',
      'workspace/set-up',
      'mail/send',
    ],
    undone: [],
    doubles: [],
  });
});

test('every undo undoes what bore the key', async () => {
  const { card, payment, workspace } = partners;
  const call = (step: string) => ({ orderKey: 'O-2', idempotencyKey: `O-2/${step}` });
  await card.redeem({ cardCode: 'CARD' }, call('card'));
  const amount = { amountMinor: 100, currency: 'EUR', returnUrl: returnUrl() };
  const { paymentId } = await payment.prepare(amount, call('pay'));
  await payment.capture({ paymentId }, call('pay'));
  await workspace.setUp({ domain: DOMAIN, email: EMAIL }, call('workspace'));
  const undone = { outcome: 'undone' };
  expect(await workspace.tearDown({ undoes: 'O-2/workspace' }, call('workspace/undo'))).toEqual(undone);
  expect(await payment.refund({ undoes: 'O-2/pay' }, call('pay/undo'))).toEqual(undone);
  expect(await card.reactivate({ undoes: 'O-2/card' }, call('card/undo'))).toEqual(undone);
  expect(judgeLedger(sandbox.effects('O-2'))).toMatchObject({
    standing: [],
    undone: ['card/redeem', 'payment/prepare', 'payment/capture', 'workspace/set-up'],
    doubles: [],
  });
});

const challenge = async (orderKey: string) => {
  const call = { orderKey, idempotencyKey: `${orderKey}/pay` };
  const amount = { amountMinor: 5_000, currency: 'EUR', returnUrl: returnUrl() };
  const prepared = await partners.payment.prepare(amount, call);
  if (prepared.status !== 'requires-action') throw new Error('expected a challenge');
  const { paymentId, challengeUrl } = prepared;
  return { challengeUrl, capture: () => partners.payment.capture({ paymentId }, call) };
};

test('a payment is captured once the customer has approved it at the bank', async () => {
  const { challengeUrl, capture } = await challenge('O-3');
  await expect(capture()).rejects.toMatchObject({ code: 'PARTNER_REFUSED', status: 409 });
  expect(await decideAtBank(challengeUrl, 'approve')).toBe(200);
  expect(await capture()).toEqual({ captureId: expect.any(String) });
});

test('a payment that the customer declined is refused with 402', async () => {
  const { challengeUrl, capture } = await challenge('O-4');
  await decideAtBank(challengeUrl, 'decline');
  await expect(capture()).rejects.toMatchObject({ status: 402, effect: 'none' });
});
