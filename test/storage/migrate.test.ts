import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Database, openDatabase } from '../../shared/storage/database.ts';
import {
  assertMigrated,
  type Migration,
  type MigrationSet,
  migrate,
  migrationStatus,
  SchemaError,
} from '../../shared/storage/migrate.ts';
import { THROUGHLINE_MIGRATIONS } from '../../shared/storage/migrations/index.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

let db: TestDatabase;
let database: Database;
/** A schema of its own for each test. */
let schema: string;

beforeAll(async () => {
  db = await createTestDatabase();
  database = db.database;
});
afterAll(() => db.close());
beforeEach(() => {
  schema = `shop_${randomBytes(4).toString('hex')}`;
});

function orders(): Migration {
  return { name: '0001-orders', sql: `CREATE TABLE ${schema}.orders (id bigint PRIMARY KEY, note text)` };
}

function totals(): Migration {
  return {
    name: '0002-totals',
    sql: `ALTER TABLE ${schema}.orders ADD COLUMN total integer NOT NULL DEFAULT 0;
      CREATE INDEX orders_total ON ${schema}.orders (total)`,
  };
}

function setOf(...migrations: Migration[]): MigrationSet {
  return { schema, migrations };
}

test('a new database gets every migration, in order, and then none', async () => {
  const set = setOf(orders(), totals());
  expect((await migrationStatus(database, set)).pending).toEqual(['0001-orders', '0002-totals']);
  expect(await migrate(database, set)).toEqual(['0001-orders', '0002-totals']);
  expect(await migrate(database, set)).toEqual([]);
  expect(await migrationStatus(database, set)).toEqual({
    schema,
    applied: ['0001-orders', '0002-totals'],
    pending: [],
    drift: [],
  });
  await assertMigrated(database, [set]);
});

test('a database that is behind gets only what it lacks, and keeps its rows', async () => {
  await migrate(database, setOf(orders()));
  await database.query(`INSERT INTO ${schema}.orders (id) VALUES (1)`);
  expect(await migrate(database, setOf(orders(), totals()))).toEqual(['0002-totals']);
  const { rows } = await database.query(`SELECT id, total FROM ${schema}.orders`);
  expect(rows).toEqual([{ id: '1', total: 0 }]);
});

test('a migration that is added between two that are applied is applied after them', async () => {
  const late: Migration = { name: '0004-late', sql: `CREATE TABLE ${schema}.late (id bigint)` };
  expect(await migrate(database, setOf(orders(), late))).toEqual(['0001-orders', '0004-late']);
  const set = setOf(orders(), totals(), late);
  expect((await migrationStatus(database, set)).pending).toEqual(['0002-totals']);
  expect(await migrate(database, set)).toEqual(['0002-totals']);
  await assertMigrated(database, [set]);
});

test('processes that migrate at the same time apply each migration once', async () => {
  const set = setOf(orders(), totals());
  const others = ['one', 'two', 'three'].map(() => openDatabase({ connectionString: db.url }));
  const applied = await Promise.all(others.map((other) => migrate(other, set)));
  expect(applied.flat().sort()).toEqual(['0001-orders', '0002-totals']);
  await assertMigrated(database, [set]);
  await Promise.all(others.map((other) => other.close()));
});

test('waits for another process that migrates, however short its own time-outs are', async () => {
  const impatient = openDatabase({ connectionString: db.url, lockTimeoutMs: 50, statementTimeoutMs: 150 });
  const isLocked = Promise.withResolvers<void>();
  const slow: Promise<unknown> = database.transaction(async (tx) => {
    await tx.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [
      `throughline migrations ${schema}`,
    ]);
    isLocked.resolve();
    await waiterOn(tx.query.bind(tx));
    await tx.query('SELECT pg_sleep(0.3)');
  });
  await isLocked.promise;
  const [applied] = await Promise.all([migrate(impatient, setOf(orders())), slow]);
  expect(applied).toEqual(['0001-orders']);
  await impatient.close();
});

/** Resolves once somebody waits for an advisory lock in this database. */
async function waiterOn(query: Database['query']): Promise<void> {
  for (let asked = 0; asked < 2_000; asked++) {
    const { rows } = await query(
      `SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    );
    if (rows.length > 0) return;
    await query('SELECT pg_sleep(0.005)');
  }
  throw new Error('nobody waits for the lock');
}

test('a migration that takes longer than a statement may is not cancelled', async () => {
  const impatient = openDatabase({ connectionString: db.url, statementTimeoutMs: 100 });
  const slow = { name: '0001-slow', sql: `SELECT pg_sleep(0.3); CREATE TABLE ${schema}.slow ()` };
  expect(await migrate(impatient, setOf(slow))).toEqual(['0001-slow']);
  await impatient.close();
});

test('a migration that fails leaves nothing behind, and those before it stay', async () => {
  const broken = { name: '0002-broken', sql: `CREATE TABLE ${schema}.half (); SELECT nonsense` };
  await expect(migrate(database, setOf(orders(), broken))).rejects.toThrow(/nonsense/);
  const { rows } = await database.query('SELECT to_regclass($1) AS half', [`${schema}.half`]);
  expect(rows).toEqual([{ half: null }]);
  expect(await migrationStatus(database, setOf(orders(), broken))).toMatchObject({
    applied: ['0001-orders'],
    pending: ['0002-broken'],
    drift: [],
  });
});

test('a migration that was changed after it had been applied is refused and named', async () => {
  await migrate(database, setOf(orders()));
  const changed = setOf({ name: '0001-orders', sql: `${orders().sql};` }, totals());
  const said = [`${schema}: 0001-orders was changed after it had been applied`];
  await expect(migrate(database, changed)).rejects.toMatchObject({ code: 'SCHEMA', problems: said });
  const { pending, drift } = await migrationStatus(database, changed);
  expect({ pending, drift }).toEqual({ pending: ['0002-totals'], drift: said });
});

test('a database that newer code has migrated is refused, and nothing is applied', async () => {
  await migrate(database, setOf(orders(), totals()));
  const older = setOf(orders());
  const said = [`${schema}: 0002-totals was applied by newer code than this`];
  await expect(migrate(database, older)).rejects.toMatchObject({ problems: said });
  await expect(assertMigrated(database, [older])).rejects.toMatchObject({ problems: said });
});

test('a service does not start on a database that is behind, and is told what to run', async () => {
  await migrate(database, setOf(orders()));
  const starting = assertMigrated(database, [THROUGHLINE_MIGRATIONS, setOf(orders(), totals())]);
  await expect(starting).rejects.toThrow(SchemaError);
  await expect(starting).rejects.toThrow(`run: throughline db migrate\n  ${schema}: 0002-totals is pending`);
});

const DRIFTS = [
  [
    'a column that was added',
    'ALTER TABLE $.orders ADD COLUMN extra text',
    'not of a migration: column orders.extra text',
  ],
  ['a column that was dropped', 'ALTER TABLE $.orders DROP COLUMN note', 'missing: column orders.note text'],
  ['an index that was dropped', 'DROP INDEX $.orders_total', 'missing: index CREATE INDEX orders_total'],
  [
    'a table that was added',
    'CREATE TABLE $.mine (id integer)',
    'not of a migration: column mine.id integer',
  ],
  [
    'a constraint that was added',
    'ALTER TABLE $.orders ADD CHECK (total >= 0)',
    'not of a migration: constraint orders_total_check',
  ],
  [
    'a default that was changed',
    'ALTER TABLE $.orders ALTER COLUMN total SET DEFAULT 1',
    'missing: column orders.total integer not null default 0',
  ],
] as const;

test.each(DRIFTS)('drift is named: %s', async (_, change, told) => {
  const set = setOf(orders(), totals());
  await migrate(database, set);
  await database.query(change.replace('$', schema));
  const { drift } = await migrationStatus(database, set);
  expect(drift).toContainEqual(expect.stringContaining(`${schema}: ${told}`));
  await expect(assertMigrated(database, [set])).rejects.toThrow(told);
});

test('whose search path has the schema in it makes no difference', async () => {
  const lines: Migration = {
    name: '0001-lines',
    sql: `CREATE TABLE ${schema}.orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
      CREATE TABLE ${schema}.lines (order_id bigint REFERENCES ${schema}.orders (id))`,
  };
  const options = `-c search_path=${schema}`; // as a role of the schema's name has it
  const owner = openDatabase({ connectionString: `${db.url}?options=${encodeURIComponent(options)}` });
  await migrate(owner, setOf(lines));
  expect((await migrationStatus(owner, setOf(lines))).drift).toEqual([]);
  expect((await migrationStatus(database, setOf(lines))).drift).toEqual([]);
  await owner.close();
});

test('a migration that was added between applied ones is applied, and is no drift', async () => {
  const between = { name: '0002-between', sql: `CREATE TABLE ${schema}.between (id integer)` };
  const last = { name: '0003-last', sql: `CREATE TABLE ${schema}.last (id integer)` };
  await migrate(database, setOf(orders(), last));
  expect(await migrate(database, setOf(orders(), between, last))).toEqual(['0002-between']);
  await assertMigrated(database, [setOf(orders(), between, last)]);
});

test('the test databases themselves are as their migrations left them', async () => {
  await assertMigrated(database, [THROUGHLINE_MIGRATIONS]);
});
