import { expect, test } from 'vitest';
import { judgeLedger } from './judge.ts';
import type { LedgerRow } from './ledger.ts';

let references = 0;

function row(what: string, more: Partial<LedgerRow> = {}): LedgerRow {
  const [partner = '', effect = ''] = what.split('/');
  const reference = `${partner}-${++references}`;
  const at = '2026-01-01T00:00:00.000Z';
  return {
    partner,
    effect,
    orderKey: 'O-1',
    idempotencyKey: reference,
    reference,
    at,
    subject: 'it',
    ...more,
  };
}

test('says what stands and what was undone', () => {
  const redeem = row('card/redeem');
  const judgement = judgeLedger([
    row('account/verify'),
    redeem,
    row('card/reactivate', { undoes: redeem.reference }),
  ]);
  expect(judgement).toMatchObject({ standing: ['account/verify'], undone: ['card/redeem'], doubles: [] });
});

test('names an effect that stands twice', () => {
  const { doubles } = judgeLedger([
    row('payment/capture', { reference: 'payment-a' }),
    row('payment/capture', { reference: 'payment-b' }),
  ]);
  expect(doubles).toEqual(['O-1: payment/capture happened 2 times (payment-a; payment-b)']);
});

test('names an effect that happened twice even when one of them was undone', () => {
  const { doubles, standing, undone } = judgeLedger([
    row('workspace/set-up', { reference: 'workspace-a' }),
    row('workspace/tear-down', { undoes: 'workspace-a' }),
    row('workspace/set-up', { reference: 'workspace-b' }),
  ]);
  expect(doubles).toEqual(['O-1: workspace/set-up happened 2 times (workspace-a, undone; workspace-b)']);
  expect({ standing, undone }).toEqual({ standing: ['workspace/set-up'], undone: ['workspace/set-up'] });
});

test('names an effect that was undone twice', () => {
  const { doubles } = judgeLedger([
    row('card/redeem', { reference: 'card-a' }),
    row('card/reactivate', { undoes: 'card-a' }),
    row('card/reactivate', { undoes: 'card-a' }),
  ]);
  expect(doubles).toEqual(['O-1: card-a was undone 2 times']);
});

test('takes a payment that was prepared for undone when its capture was refunded', () => {
  const { standing, doubles } = judgeLedger([
    row('payment/prepare', { undoneBy: 'payment-r' }),
    row('payment/capture', { reference: 'payment-c', undoneBy: 'payment-r' }),
    row('payment/refund', { reference: 'payment-r', undoes: 'payment-c' }),
  ]);
  expect({ standing, doubles }).toEqual({ standing: [], doubles: [] });
});

test('lets an order get two different mails, and names the same one sent twice', () => {
  const confirmed = { subject: 'order-confirmed' };
  expect(
    judgeLedger([row('mail/send', confirmed), row('mail/send', { subject: 'invoice' })]).doubles,
  ).toEqual([]);
  const { doubles } = judgeLedger([row('mail/send', confirmed), row('mail/send', confirmed)]);
  expect(doubles).toEqual([expect.stringContaining('mail/send order-confirmed happened 2 times')]);
});

test('judges each order by itself', () => {
  const { orders, doubles, standing } = judgeLedger([
    row('card/redeem'),
    row('card/redeem', { orderKey: 'O-2' }),
  ]);
  expect(doubles).toEqual([]);
  expect(standing).toEqual(['card/redeem', 'card/redeem']);
  expect(orders.get('O-2')).toEqual({ standing: ['card/redeem'], undone: [], doubles: [] });
});
