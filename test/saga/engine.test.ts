import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { createSagaEngine, defineSaga, type SagaEngine, skip, suspend } from '../../publisher/saga/index.ts';
import { createGate } from '../support/gate.ts';
import { PATIENCE_MS } from '../support/patience.ts';
import { createSagaLab } from '../support/saga-lab.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

let db: TestDatabase;
let engine: SagaEngine;
const log: string[] = [];

const input = z.object({ key: z.string(), failAt: z.string().optional(), wait: z.boolean().default(false) });
const order = defineSaga({ name: 'order', version: 1, input })
  .step('verify', { run: async () => ({ account: 7 }), compensate: skip('nothing was changed') })
  .step('redeem', {
    run: async ({ input: { key }, results, idempotencyKey }) => {
      log.push(`${key}: redeem ${results.verify.account}`);
      return { key: idempotencyKey };
    },
    compensate: async ({ input: { key }, result, undoes }) => {
      log.push(`${key}: reactivate ${result?.key === undoes}`);
    },
  })
  .step('pay', {
    run: async ({ input: { wait } }) =>
      wait ? suspend('3ds', { timeoutMs: 60_000, data: { url: 'https://bank.example' } }) : { paid: true },
    signal: {
      name: '3ds',
      payload: z.strictObject({ approved: z.boolean() }),
      resume: async (_, { approved }) => ({ paid: approved }),
    },
    compensate: async ({ input: { key } }) => {
      log.push(`${key}: refund`);
    },
  })
  .transaction('confirm', {
    transaction: async (_, { input: { failAt } }) => {
      if (failAt === 'confirm')
        throw Object.assign(new Error('refused'), { retryable: false, effect: 'none' });
      return 'ok';
    },
    compensate: skip('the last step'),
  })
  .build();

beforeAll(async () => {
  db = await createTestDatabase();
  engine = createSagaEngine({ database: db.database, sagas: [order], service: 'test' });
  await engine.start();
});
afterAll(async () => {
  await engine.stop();
  await db.close();
});

const of = (key: string) =>
  log.filter((line) => line.startsWith(`${key}:`)).map((line) => line.slice(key.length + 2));

test('runs every step with what the earlier ones returned, and ends confirmed', async () => {
  const { sagaId, isNew } = await engine.begin(order, { key: 'a' });
  expect(isNew).toBe(true);
  expect(await engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('confirmed');
  expect(of('a')).toEqual(['redeem 7']);
});

test('compensates in reverse what may have happened when a step fails', async () => {
  const { sagaId } = await engine.begin(order, { key: 'b', failAt: 'confirm' });
  expect(await engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('compensated');
  expect(of('b')).toEqual(['redeem 7', 'refund', 'reactivate true']);
});

test('whoever awaits an end waits as long as they said, also beside others who wait for less', async () => {
  const gate = createGate();
  const lab = await createSagaLab();
  const slow = defineSaga({ name: 'slow', version: 1, input: z.object({}) })
    .step('a', { run: () => gate.opened, compensate: skip('it only waits') })
    .build();
  const { begin, ended, database } = await lab.start([slow]);
  const { sagaId } = await begin(slow, {});
  // Nobody needs the database for it: the saga is in hand here.
  database.hold((text) => text.includes('ended_at IS NOT NULL AS ended'));
  const patient = ended(sagaId, { timeoutMs: PATIENCE_MS });
  await expect(ended(sagaId, { timeoutMs: 20 })).rejects.toMatchObject({ code: 'SAGA_TIMEOUT' });
  gate.open();
  expect(await patient).toBe('confirmed');
  await lab.close();
});
