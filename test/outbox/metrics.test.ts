import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { createOutbox, observeOutbox } from '../../publisher/index.ts';
import { defineJob } from '../../shared/index.ts';
import { openDatabase } from '../../shared/storage/database.ts';
import { startEmbeddedPostgres } from '../../shared/storage/embedded.ts';
import { migrate } from '../../shared/storage/migrate.ts';
import { THROUGHLINE_MIGRATIONS } from '../../shared/storage/migrations/index.ts';
import { startTestTelemetry, type TestTelemetry } from '../fakes/telemetry.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

let telemetry: TestTelemetry;
let db: TestDatabase;
beforeAll(() => {
  telemetry = startTestTelemetry();
});
beforeEach(async () => {
  db = await createTestDatabase();
  onTestFinished(() => db.close());
});
afterAll(() => telemetry.stop());

const note = defineJob({ name: 'note.keep', version: 1, topic: 'notes', payload: z.strictObject({}) });

const REFUSED = { 'error.type': 'ECONNREFUSED' };

async function gauges() {
  const read = (name: string) => telemetry.gauge(`throughline.outbox.${name}`);
  return {
    unsent: await read('unsent'),
    unfinished: await read('unfinished'),
    oldestUnsentAge: await read('oldest_unsent_age'),
  };
}

test('depth, age and what is unfinished are gauges, read anew each time until it is stopped', async () => {
  const { database } = db;
  const observed = observeOutbox(database);
  onTestFinished(() => observed.stop());
  expect(await gauges()).toEqual({ unsent: 0, unfinished: 0, oldestUnsentAge: 0 });

  const outbox = createOutbox({ database, source: 'shop' });
  const items = ['a', 'b', 'c'].map((jobId) => ({ payload: {}, jobId }));
  await database.transaction((tx) => outbox.enqueueAll(tx, note, items));
  await database.query(`
    UPDATE throughline.outbox SET enqueued_at = enqueued_at - interval '90 s',
      sent_at = CASE job_id WHEN 'a' THEN now() END`);
  const waiting = await gauges();
  expect(waiting).toMatchObject({ unsent: 2, unfinished: 1 });
  expect(waiting.oldestUnsentAge).toBeGreaterThanOrEqual(90);
  expect(waiting.oldestUnsentAge).toBeLessThan(150);

  await database.query('UPDATE throughline.outbox SET sent_at = now()');
  expect(await gauges()).toEqual({ unsent: 0, unfinished: 3, oldestUnsentAge: 0 });
  observed.stop();
  observed.stop();
  await database.query('DELETE FROM throughline.outbox');
  expect(await gauges()).toMatchObject({ unfinished: 3 }); // the SDK repeats what it heard last
});

test('while the database is away that is counted, the last numbers stand, and no other metric waits', async () => {
  const postgres = await startEmbeddedPostgres();
  const database = openDatabase({ connectionString: postgres.url, reconnectWithinMs: 3_600_000 });
  await migrate(database, THROUGHLINE_MIGRATIONS);
  const observed = observeOutbox(database);
  onTestFinished(async () => {
    observed.stop();
    await database.close();
    await postgres.close();
  });
  expect(await gauges()).toMatchObject({ unsent: 0 });
  await postgres.stop();
  const before = await telemetry.sum('throughline.database.errors', REFUSED);
  expect(await gauges()).toMatchObject({ unsent: 0 });
  expect(await telemetry.sum('throughline.database.errors', REFUSED)).toBeGreaterThan(before);
  await postgres.start();
  expect(await gauges()).toMatchObject({ unsent: 0 });
});

test('a database that does not answer in time is counted, the last numbers stand, and what it says at last is told', async () => {
  const database = openDatabase({ connectionString: db.url, lockTimeoutMs: 0, statementTimeoutMs: 0 });
  const observed = observeOutbox(database);
  onTestFinished(async () => {
    observed.stop();
    await database.close();
  });
  expect(await gauges()).toMatchObject({ unsent: 0 });
  const late = () => telemetry.sum('throughline.database.errors', { 'error.type': 'ETIMEDOUT' });
  const before = await late();
  const outbox = createOutbox({ database: db.database, source: 'shop' });
  await db.database.transaction(async (tx) => {
    await tx.query('LOCK TABLE throughline.outbox IN ACCESS EXCLUSIVE MODE');
    await outbox.enqueueAll(tx, note, [{ payload: {}, jobId: 'locked' }]);
    expect(await telemetry.gauge('throughline.outbox.unsent')).toBe(0); // it would wait for ever
    expect(await late()).toBeGreaterThan(before);
  });
  await expect.poll(() => telemetry.gauge('throughline.outbox.unsent')).toBe(1);
});

test('collections at the same time ask the database once', async () => {
  let asked = 0;
  const query = ((statement: string) => {
    asked += 1;
    return db.database.query(statement);
  }) as typeof db.database.query;
  const observed = observeOutbox({ ...db.database, query });
  onTestFinished(() => observed.stop());
  const read = () => telemetry.gauge('throughline.outbox.unsent');
  expect(await Promise.all([read(), read(), read()])).toEqual([0, 0, 0]);
  expect(asked).toBe(1);
  await read();
  expect(asked).toBe(2);
});
