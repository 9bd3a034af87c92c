import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { identify } from '../../orders/http/place-order.ts';
import { listSagas, type SagaFilter } from '../../publisher/saga/index.ts';
import { uuidV7 } from '../../publisher/saga/uuid-v7.ts';
import type { SqlClient } from '../../shared/storage/sql-client.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

const SAGAS = 100_000;

describe('a list of a hundred thousand sagas', () => {
  let db: TestDatabase;
  beforeAll(async () => {
    db = await createTestDatabase();
    await db.database.query(
      `INSERT INTO throughline.saga (id, name, version, input, state, parked, span, started_at, ended_at)
       SELECT to_char(n, 'fm000000'), 'order', 1, '{}', CASE WHEN n IN (10, 20) THEN 'stuck' ELSE 'confirmed' END,
         CASE WHEN n IN (30, 40) THEN 'unknown' END, '{"self": {}}', now(), CASE WHEN n > 40 THEN now() END
       FROM generate_series(1, $1::int) n`,
      [SAGAS],
    );
    await db.database.query('ANALYZE throughline.saga');
  });
  afterAll(() => db.close());

  test.each<[string, SagaFilter, string[], RegExp]>([
    ['the stuck ones', { states: ['stuck'] }, ['000020', '000010'], /saga_stuck/],
    ['the parked ones', { parked: true }, ['000040', '000030'], /saga_parked/],
    ['those that are both', { states: ['stuck'], parked: true }, [], /saga_(stuck|parked)/],
    ['the newest ones', { limit: 2 }, ['100000', '099999'], /saga_pkey/],
  ])('finds %s by an index, newest first', async (_, filter, ids, index) => {
    expect((await listSagas(db.database, filter)).map(({ sagaId }) => sagaId)).toEqual(ids);
    const { plan, rowsRead } = await explain(db, filter);
    expect(plan).toMatch(index);
    expect(rowsRead).toBeLessThanOrEqual(2);
  });
});

test("an order's saga is listed where its age belongs", () => {
  const sagaId = () =>
    identify({ domain: 'shop.example' } as Parameters<typeof identify>[0], undefined).sagaId;
  const before = uuidV7(Date.now() - 1);
  const ofOrder = sagaId();
  expect(before < ofOrder && ofOrder < uuidV7(Date.now() + 1)).toBe(true);
});

/** The plan of the statement that `listSagas` makes, and how many rows it had to look at. */
async function explain({ database }: TestDatabase, filter: SagaFilter) {
  let plan = '';
  const explaining = {
    async query(text: string, values: unknown[]) {
      const { rows } = await database.query<{ 'QUERY PLAN': string }>(`EXPLAIN ANALYZE ${text}`, values);
      plan = rows.map((row) => row['QUERY PLAN']).join('\n');
      return { rows: [], rowCount: 0 };
    },
  };
  await listSagas(explaining as unknown as SqlClient, filter);
  const removed = /Rows Removed by Filter: (\d+)/.exec(plan)?.[1] ?? '0';
  const found = /Scan .*\(actual .*rows=([\d.]+)/.exec(plan)?.[1] ?? '0';
  return { plan, rowsRead: Number(removed) + Number(found) };
}
