import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Fault } from '../../emulator/partners/faults.ts';
import { judgeLedger } from '../../emulator/partners/judge.ts';
import { type PartnersSandbox, startPartnersSandbox } from '../../emulator/partners/sandbox.ts';
import { orderSchema } from '../../orders/order.ts';
import { createPartners } from '../../orders/partners/partners.ts';
import { createOrderSaga, type OrderSaga } from '../../orders/saga.ts';
import { ORDERS_MIGRATIONS } from '../../orders/storage/migrations.ts';
import { insertOrder } from '../../orders/storage/orders.ts';
import { createOutbox } from '../../publisher/index.ts';
import { createSagaEngine, type SagaEngine } from '../../publisher/saga/index.ts';
import { migrate } from '../../shared/storage/migrate.ts';
import { PATIENCE_MS } from '../support/patience.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

let sandbox: PartnersSandbox;
let db: TestDatabase;
let saga: OrderSaga;
let engine: SagaEngine;

beforeAll(async () => {
  sandbox = await startPartnersSandbox();
  db = await createTestDatabase();
  await migrate(db.database, ORDERS_MIGRATIONS);
  saga = createOrderSaga({
    partners: createPartners({ baseUrl: sandbox.url }),
    outbox: createOutbox({ database: db.database, source: 'shop' }),
    returnUrl: () => 'http://127.0.0.1/back',
  });
  engine = createSagaEngine({ database: db.database, sagas: [saga], service: 'shop' });
  await engine.start();
});
afterAll(async () => {
  await engine.stop();
  await db.close();
  await sandbox.close();
});

/** Orders what needs no 3-D Secure, and awaits the end; the job of step 7 is never reached. */
async function settle(orderKey: string, fault: Fault) {
  sandbox.faults.add({ ...fault, orderKey });
  const order = { ...orderSchema.parse({ domain: 'shop.example', email: 'owner@shop.example' }), orderKey };
  await db.database.transaction(async (tx) => {
    const stored = { order, sagaId: orderKey, idempotencyKey: undefined, requestHash: orderKey };
    await insertOrder(tx, stored);
    await engine.begin(saga, order, { sagaId: orderKey, orderKey, tx });
  });
  const end = await engine.ended(orderKey, { timeoutMs: PATIENCE_MS });
  return { end, ...judgeLedger(sandbox.effects(orderKey)) };
}

const undoneWithPayment = {
  end: 'compensated',
  standing: ['account/verify'],
  undone: ['card/redeem', 'payment/prepare'],
  doubles: [],
};

test('voids the payment that was prepared when its capture is refused', async () => {
  const fault: Fault = { kind: 'refuse', partner: 'payment', effect: 'capture' };
  expect(await settle('capture-refused', fault)).toMatchObject(undoneWithPayment);
});

test('undoes the redemption whose answer was lost when the partner refuses from then on', async () => {
  const redeem = { partner: 'card', effect: 'redeem', orderKey: 'redeem-doubted' };
  sandbox.faults.add({ ...redeem, kind: 'lost-answer', times: 1 });
  expect(await settle('redeem-doubted', { ...redeem, kind: 'refuse' })).toMatchObject({
    end: 'compensated',
    standing: ['account/verify'],
    undone: ['card/redeem'],
    doubles: [],
  });
});

test('asks nobody to undo what was refused at once', async () => {
  const fault: Fault = { kind: 'refuse', partner: 'card', effect: 'redeem' };
  expect(await settle('redeem-refused', fault)).toMatchObject({ standing: ['account/verify'], undone: [] });
  expect(sandbox.calls('redeem-refused').map(({ effect }) => effect)).toEqual(['verify', 'redeem']);
});
