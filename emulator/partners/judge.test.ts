import fc from 'fast-check';
import { expect, test } from 'vitest';
import { judgeLedger } from './judge.ts';
import { createLedger, type LedgerRow } from './ledger.ts';

let numbers = 0;
function row(what: string, more: Partial<LedgerRow> = {}): LedgerRow {
  const [partner = '', effect = ''] = what.split('/');
  const reference = `${partner}-${++numbers}`;
  return {
    partner,
    effect,
    orderKey: 'O-1',
    idempotencyKey: reference,
    reference,
    at: '2026-01-01T00:00:00.000Z',
    subject: 'shop.example',
    ...more,
  };
}

test('what happened once stands, and there is nothing to say about it', () => {
  const { standing, undone, doubles } = judgeLedger([row('card/redeem'), row('payment/capture')]);
  expect({ standing, undone, doubles }).toEqual({
    standing: ['card/redeem', 'payment/capture'],
    undone: [],
    doubles: [],
  });
});

test('what was undone does not stand, whichever of the two rows says so', () => {
  const redeemed = row('card/redeem');
  const reactivated = row('card/reactivate', { undoes: redeemed.reference });
  for (const rows of [
    [redeemed, reactivated],
    [{ ...redeemed, undoneBy: reactivated.reference }, reactivated],
  ])
    expect(judgeLedger(rows)).toMatchObject({ standing: [], undone: ['card/redeem'], doubles: [] });
});

test('what happened twice is told in a sentence, also when one of the two was undone', () => {
  const first = row('workspace/set-up', { reference: 'workspace-1' });
  const second = row('workspace/set-up', { reference: 'workspace-2' });
  expect(judgeLedger([first, second]).doubles).toEqual([
    'O-1: workspace/set-up happened 2 times (workspace-1; workspace-2)',
  ]);
  const undo = row('workspace/tear-down', { undoes: 'workspace-1' });
  expect(judgeLedger([first, second, undo]).doubles).toEqual([
    'O-1: workspace/set-up happened 2 times (workspace-1, undone; workspace-2)',
  ]);
});

test('what was undone twice is told in a sentence', () => {
  const redeemed = row('card/redeem', { reference: 'card-1' });
  const undo = () => row('card/reactivate', { undoes: 'card-1' });
  expect(judgeLedger([redeemed, undo(), undo()]).doubles).toEqual(['O-1: card-1 was undone 2 times']);
});

test('an order may have one mail of each template, and the same effect as another order', () => {
  const mails = ['order-confirmed', 'terms-changed'].map((subject) => row('mail/send', { subject }));
  const other = row('mail/send', { subject: 'order-confirmed', orderKey: 'O-2' });
  expect(judgeLedger([...mails, other]).doubles).toEqual([]);
  expect(judgeLedger([...mails, row('mail/send', { subject: 'order-confirmed' })]).doubles).toHaveLength(1);
});

test('of any effects of any orders each is judged once, and doubles are told exactly for what is there twice', () => {
  const effect = fc.constantFrom('card/redeem', 'payment/capture', 'workspace/set-up');
  const event = fc.record({ what: effect, orderKey: fc.constantFrom('O-1', 'O-2'), isUndone: fc.boolean() });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 12 }), (events) => {
      const ledger = createLedger();
      for (const [index, { what, orderKey, isUndone }] of events.entries()) {
        const done = ledger.record({ ...row(what), orderKey, idempotencyKey: `do-${index}` });
        if (!isUndone) continue;
        const { reference: undoes } = done;
        const undo = ledger.record({ ...row('x/undo'), orderKey, idempotencyKey: `undo-${index}`, undoes });
        ledger.markUndone([done], undo);
      }
      const { standing, undone, doubles, orders } = judgeLedger(ledger.rows());
      expect(standing.length + undone.length).toBe(events.length);
      expect(undone.length).toBe(events.filter(({ isUndone }) => isUndone).length);
      const counts = Map.groupBy(events, ({ what, orderKey }) => `${orderKey}: ${what}`);
      const twice = [...counts].filter(([, same]) => same.length > 1);
      expect(doubles).toHaveLength(twice.length);
      for (const [what, same] of twice)
        expect(doubles.join('\n')).toContain(`${what} happened ${same.length} times`);
      expect([...orders.values()].flatMap((order) => order.doubles)).toEqual(doubles);
    }),
  );
});
