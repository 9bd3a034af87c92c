import pg from 'pg';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import {
  type Database,
  type DatabaseOptions,
  DatabaseUnavailableError,
  openDatabase,
  TransactionAbortedError,
} from '../../shared/storage/database.ts';
import { startTestTelemetry, type TestTelemetry } from '../fakes/telemetry.ts';
import { createGate } from '../support/gate.ts';
import { startPgGate } from '../support/pg-gate.ts';
import { createSignals } from '../support/signals.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

let db: TestDatabase;
let telemetry: TestTelemetry;
beforeEach(async () => {
  telemetry = startTestTelemetry();
  db = await createTestDatabase();
  await db.database.query('CREATE TABLE kept (number integer)');
});
afterEach(async () => {
  await db.close();
  await telemetry.stop();
});

/** Another process's connections to the same database. */
function open(options: Partial<DatabaseOptions> = {}): Database {
  const other = openDatabase({ connectionString: db.url, ...options });
  onTestFinished(() => other.close());
  return other;
}

async function kept(): Promise<number[]> {
  const { rows } = await db.database.query<{ number: number }>('SELECT number FROM kept ORDER BY number');
  return rows.map(({ number }) => number);
}

describe('a transaction', () => {
  test('commits when its work resolves, with what the work resolved with', async () => {
    const result = await db.database.transaction(async (tx) => {
      await tx.query('INSERT INTO kept VALUES (1)');
      await tx.kysely<{ kept: { number: number } }>().insertInto('kept').values({ number: 2 }).execute();
      expect(await kept()).toEqual([]);
      return 'ready';
    });
    expect(result).toBe('ready');
    expect(await kept()).toEqual([1, 2]);
  });

  test('rolls back when its work throws, and gives the connection back', async () => {
    const single = open({ maxConnections: 1 });
    const failing = single.transaction(async (tx) => {
      await tx.query('INSERT INTO kept VALUES (1)');
      throw new Error('changed my mind');
    });
    await expect(failing).rejects.toThrow('changed my mind');
    expect((await single.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    expect(await kept()).toEqual([]);
  });

  test('calls back after the commit, when others can see it, and never after a rollback', async () => {
    const seen: Promise<number[]>[] = [];
    await db.database.transaction(async (tx) => {
      tx.afterCommit(() => seen.push(kept()));
      await tx.query('INSERT INTO kept VALUES (1)');
      expect(seen).toEqual([]);
    });
    expect(await Promise.all(seen)).toEqual([[1]]);
    const failing = db.database.transaction(async (tx) => {
      tx.afterCommit(() => seen.push(kept()));
      throw new Error('changed my mind');
    });
    await expect(failing).rejects.toThrow('changed my mind');
    expect(seen).toHaveLength(1);
  });

  test('that passes over a failed statement is told that nothing was committed, and calls nobody back', async () => {
    let calledBack = false;
    const passingOver = db.database.transaction(async (tx) => {
      tx.afterCommit(() => {
        calledBack = true;
      });
      await tx.query('INSERT INTO kept VALUES (1)');
      await tx.query('SELECT nonsense').catch(() => {});
    });
    await expect(passingOver).rejects.toThrow(TransactionAbortedError);
    await expect(passingOver).rejects.toMatchObject({ cause: { code: '42703' } });
    expect(calledBack).toBe(false);
    expect(await kept()).toEqual([]);
  });
});

test('a server that takes no writes is counted, as what it says', async () => {
  const standby = open({ connectionString: `${db.url}?options=-c%20default_transaction_read_only%3Don` });
  const readOnly = async (work: Promise<unknown>) => expect(work).rejects.toMatchObject({ code: '25006' });
  await readOnly(standby.query('INSERT INTO kept VALUES (1)'));
  await readOnly(standby.transaction((tx) => tx.query('INSERT INTO kept VALUES (1)')));
  expect(await telemetry.sum('throughline.database.errors', { 'error.type': '25006' })).toBe(2);
  await expect(standby.query('SELECT nonsense')).rejects.toMatchObject({ code: '42703' });
  expect(await telemetry.sum('throughline.database.errors')).toBe(2);
});

describe('time-outs', () => {
  test('a statement that takes too long is cancelled, and the connection stays usable', async () => {
    const impatient = open({ statementTimeoutMs: 50, maxConnections: 1 });
    await expect(impatient.query('SELECT pg_sleep(20)')).rejects.toMatchObject({ code: '57014' });
    expect((await impatient.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    expect(await telemetry.sum('throughline.database.errors')).toBe(0);
  });

  test('a statement that waits too long for a lock is cancelled', async () => {
    const impatient = open({ lockTimeoutMs: 50 });
    await db.database.transaction(async (tx) => {
      await tx.query('LOCK TABLE kept');
      await expect(impatient.query('INSERT INTO kept VALUES (1)')).rejects.toMatchObject({ code: '55P03' });
    });
    expect(await kept()).toEqual([]);
  });

  test('a transaction that its owner forgets is ended by the server', async () => {
    const forgetful = open({ idleInTransactionTimeoutMs: 50 });
    const locked = createGate();
    const ended = createGate();
    const forgotten = forgetful.transaction(async (tx) => {
      await tx.query('LOCK TABLE kept');
      locked.open();
      await ended.opened;
      await tx.query('INSERT INTO kept VALUES (1)');
    });
    await locked.opened;
    expect(await kept()).toEqual([]); // waits for the lock to be given up
    ended.open();
    await expect(forgotten).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE', outcomeUnknown: true });
  });
});

describe('a connection that the server ends', () => {
  const pidOf = async (client: Pick<Database, 'query'>) =>
    (await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0]?.pid;
  const end = (pid: number | undefined) => db.database.query('SELECT pg_terminate_backend($1, 5000)', [pid]);

  test('while it is idle is replaced, counted, and noticed by nobody', async () => {
    const single = open({ maxConnections: 1 });
    await end(await pidOf(single));
    expect((await single.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    await expect
      .poll(() => telemetry.sum('throughline.database.errors', { 'error.type': '57P01' }))
      .toBeGreaterThan(0);
  });

  test('in the middle of a statement leaves the outcome unknown, and is counted', async () => {
    const single = open({ maxConnections: 1 });
    const pid = await pidOf(single);
    const failing = single.query('SELECT pg_sleep(20)');
    void end(pid);
    await expect(failing).rejects.toThrow(DatabaseUnavailableError);
    await expect(failing).rejects.toMatchObject({ outcomeUnknown: true, retryable: true });
    expect(await telemetry.sum('throughline.database.errors', { 'error.type': '57P01' })).toBeGreaterThan(0);
  });

  test('between the statements of a transaction fails it, rolls it back and runs its work once', async () => {
    const single = open({ maxConnections: 1 });
    let runs = 0;
    const failing = single.transaction(async (tx) => {
      runs += 1;
      await tx.query('INSERT INTO kept VALUES (1)');
      await end(await pidOf(tx));
      await tx.query('INSERT INTO kept VALUES (2)');
    });
    await expect(failing).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE', outcomeUnknown: true });
    expect(runs).toBe(1);
    expect(await kept()).toEqual([]);
    expect((await single.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  });

  test('before the commit fails the transaction, though its work had resolved', async () => {
    const single = open({ maxConnections: 1 });
    let calledBack = false;
    const failing = single.transaction(async (tx) => {
      tx.afterCommit(() => {
        calledBack = true;
      });
      await tx.query('INSERT INTO kept VALUES (1)');
      await end(await pidOf(tx));
    });
    await expect(failing).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE', outcomeUnknown: true });
    expect(calledBack).toBe(false);
    expect(await kept()).toEqual([]);
  });
});

describe('a network that swallows answers', () => {
  /** A process whose way to PostgreSQL can be cut without a word: nothing is closed and nothing is refused. */
  async function openBehindGate(options: Partial<DatabaseOptions> = {}) {
    const gate = await startPgGate(db.url);
    onTestFinished(() => gate.close());
    const behind = open({ connectionString: gate.url, maxConnections: 1, queryTimeoutMs: 1_000, ...options });
    const swallow = (part: string) =>
      gate.reach({ matches: ({ text }) => text.includes(part), when: 'after' });
    return { behind, swallow };
  }
  const timedOut = { code: 'DATABASE_UNAVAILABLE', outcomeUnknown: true };

  test('fails a statement after the time-out, counts a lost connection, and the next one has another', async () => {
    const { behind, swallow } = await openBehindGate();
    const swallowed = swallow('INSERT INTO kept');
    const failing = behind.query('INSERT INTO kept VALUES (1)');
    await swallowed;
    await expect(failing).rejects.toMatchObject(timedOut);
    expect(await telemetry.sum('throughline.database.errors')).toBe(1);
    expect((await behind.query('SELECT number FROM kept')).rows).toEqual([{ number: 1 }]);
  });

  test('fails a typed query in the same way, and does not leave its connection to the next', async () => {
    const { behind, swallow } = await openBehindGate();
    const typed = behind.kysely<{ kept: { number: number } }>();
    const swallowed = swallow('insert into "kept"');
    const failing = typed.insertInto('kept').values({ number: 1 }).execute();
    await swallowed;
    await expect(failing).rejects.toMatchObject(timedOut);
    expect(await typed.selectFrom('kept').select('number').execute()).toEqual([{ number: 1 }]);
  });

  test('fails a transaction after one time-out, and lets go of what it had locked', async () => {
    const { behind, swallow } = await openBehindGate();
    const swallowed = swallow('INSERT INTO kept');
    const asked = vi.spyOn(pg.Client.prototype, 'query');
    onTestFinished(() => asked.mockRestore());
    const failing = behind.transaction(async (tx) => {
      await tx.query('LOCK TABLE kept');
      await tx.query('INSERT INTO kept VALUES (1)');
    });
    await swallowed;
    await expect(failing).rejects.toMatchObject(timedOut);
    expect(asked.mock.calls.flat()).not.toContain('ROLLBACK'); // which would wait as long again
    expect(await kept()).toEqual([]);
  });

  test('is not what a patient transaction takes a long wait for', async () => {
    const impatient = open({ queryTimeoutMs: 1_000, statementTimeoutMs: 50, lockTimeoutMs: 50 });
    const slow = (tx: Pick<Database, 'query'>) => tx.query('SELECT pg_sleep(1.2)');
    await impatient.transaction(slow, { isPatient: true });
    await expect(impatient.transaction(slow)).rejects.toMatchObject({ code: '57014' });
  });

  test('is not what a listener takes silence for', async () => {
    const impatient = open({ queryTimeoutMs: 1_000 });
    const heard = createSignals();
    await impatient.listen('news', heard.signal);
    await db.database.query('SELECT pg_sleep(1.2)');
    db.database.notify('news');
    await heard.reached(2);
    expect(heard.count).toBe(2); // it did not have to listen anew
    expect(await telemetry.sum('throughline.database.errors')).toBe(0);
  });
});

test('what work throws of its own, a partner that is away for example, says nothing of PostgreSQL', async () => {
  const single = open({ maxConnections: 1 });
  const pidOf = async (client: Pick<Database, 'query'>) =>
    (await client.query('SELECT pg_backend_pid() AS pid')).rows;
  const pids: unknown[] = [];
  const away = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:6379'), { code: 'ECONNREFUSED' });
  const failing = single.transaction(async (tx) => {
    await tx.query('INSERT INTO kept VALUES (1)');
    pids.push(await pidOf(tx));
    throw away;
  });
  await expect(failing).rejects.toBe(away);
  pids.push(await pidOf(single));
  expect(pids[1]).toEqual(pids[0]);
  expect(await kept()).toEqual([]);
  expect(await telemetry.sum('throughline.database.errors')).toBe(0);
});

test('notifications reach every listener, and many at once are few', async () => {
  let heard = 0;
  const first = createGate();
  const stop = await open().listen('news', () => {
    heard += 1;
    if (heard === 2) first.open(); // the first was for having begun to listen
  });
  expect(heard).toBe(1);
  for (let sent = 0; sent < 100; sent++) db.database.notify('news');
  await first.opened;
  await stop();
  await stop();
  expect(heard).toBeLessThan(10);
});

test('close waits for what is under way, may be called twice, and ends listening', async () => {
  const other = openDatabase({ connectionString: db.url });
  await other.listen('news', () => {});
  const result = other.query('SELECT pg_sleep(0.1), 1 AS one');
  other.notify('news');
  await Promise.all([other.close(), other.close()]);
  expect((await result).rows).toMatchObject([{ one: 1 }]);
  const { rows } = await db.database.query(
    `SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND state IS NOT NULL
     AND query LIKE 'LISTEN%'`,
  );
  expect(rows).toEqual([]);
  await expect(other.query('SELECT 1')).rejects.toThrow();
});
