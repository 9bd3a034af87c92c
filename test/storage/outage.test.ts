import { afterEach, beforeEach, expect, test } from 'vitest';
import { createRelay } from '../../publisher/index.ts';
import { type Database, type DatabaseOptions, openDatabase } from '../../shared/storage/database.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../shared/storage/embedded.ts';
import { createMemorySink } from '../fakes/memory-sink.ts';
import { startTestTelemetry, type TestTelemetry } from '../fakes/telemetry.ts';
import { createSignals } from '../support/signals.ts';

let postgres: EmbeddedPostgres;
let telemetry: TestTelemetry;
const opened: Database[] = [];

beforeEach(async () => {
  telemetry = startTestTelemetry();
  postgres = await startEmbeddedPostgres();
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => one.close()));
  await postgres.close();
  await telemetry.stop();
});

function open(options: Partial<DatabaseOptions> = {}): Database {
  const database = openDatabase({ connectionString: postgres.url, ...options });
  opened.push(database);
  return database;
}

/** A logger that only counts how often a connection was found lost or refused. */
function createRefusals() {
  const refused = createSignals();
  const logger = { warn: refused.signal } as unknown as NonNullable<DatabaseOptions['logger']>;
  return { refused, logger };
}

test('statements and transactions wait for a server that is away, and go on when it is back', async () => {
  const { refused, logger } = createRefusals();
  const database = open({ logger });
  await database.query('CREATE TABLE note (id integer)');
  await postgres.stop();
  const waiting = Promise.all([
    database.query('INSERT INTO note VALUES (1)'),
    database.transaction((tx) => tx.query('INSERT INTO note VALUES (2)')),
  ]);
  await refused.reached(refused.count + 3);
  await postgres.start();
  await waiting;
  const { rows } = await database.query('SELECT id FROM note ORDER BY id');
  expect(rows).toEqual([{ id: 1 }, { id: 2 }]);
  expect(
    await telemetry.sum('throughline.database.errors', { 'error.type': 'ECONNREFUSED' }),
  ).toBeGreaterThan(0);
});

test('whoever has waited long enough is told that nothing was done', async () => {
  const database = open({ reconnectWithinMs: 100 });
  await postgres.stop();
  let runs = 0;
  const failing = database.transaction(async () => {
    runs += 1;
  });
  await expect(failing).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE', outcomeUnknown: false });
  await expect(database.ping()).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
  expect(runs).toBe(0);
  await postgres.start();
  await database.ping();
});

test.each(['fast', 'immediate'] as const)(
  'a transaction that a %s stop interrupts says that its outcome is unknown, and is not run again',
  async (mode) => {
    const database = open();
    await database.query('CREATE TABLE note (id integer)');
    let runs = 0;
    const interrupted = database.transaction(async (tx) => {
      runs += 1;
      await tx.query('INSERT INTO note VALUES (1)');
      await postgres.stop(mode);
      await tx.query('INSERT INTO note VALUES (2)');
    });
    await expect(interrupted).rejects.toMatchObject({
      name: 'DatabaseUnavailableError',
      retryable: true,
      outcomeUnknown: true,
    });
    expect(runs).toBe(1);
    expect(await telemetry.sum('throughline.database.errors')).toBeGreaterThan(0);
    await postgres.start();
    expect((await database.query('SELECT id FROM note')).rows).toEqual([]);
  },
);

test('a listener survives a restart, is told once that it may have missed something, and hears again', async () => {
  const { refused, logger } = createRefusals();
  const listening = open({ logger });
  const heard = createSignals();
  const stop = await listening.listen('news', heard.signal);
  await postgres.stop();
  await refused.reached(1);
  const before = heard.count;
  await postgres.start();
  await heard.reached(before + 1);
  open().notify('news');
  await heard.reached(before + 2);
  await stop();
});

test('a listener that begins while the server is away listens once it is there, and can be stopped before', async () => {
  const database = open();
  await postgres.stop();
  const heard = createSignals();
  const stop = await database.listen('news', heard.signal);
  const stopOther = await database.listen('other', () => {});
  await stopOther();
  expect(heard.count).toBe(0);
  await postgres.start();
  await heard.reached(1);
  await stop();
});

test('a relay starts and stops while the server is away', async () => {
  const database = open({ reconnectWithinMs: 100 });
  await postgres.stop();
  const relay = createRelay({ database, sink: createMemorySink() });
  await relay.start();
  await relay.stop();
});

test('a database that is closed while the server is away does not wait for it', async () => {
  const { refused, logger } = createRefusals();
  const database = open({ logger });
  await postgres.stop();
  const waiting = expect(database.query('SELECT 1')).rejects.toThrow();
  await database.listen('news', () => {});
  await refused.reached(2);
  await database.close();
  await waiting;
});
