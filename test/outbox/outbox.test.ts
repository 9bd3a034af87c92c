import { context, trace } from '@opentelemetry/api';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { createOutbox, type Outbox, outboxRow } from '../../publisher/index.ts';
import { OUTBOX_CHANNEL } from '../../publisher/outbox.ts';
import {
  AttributeConflictError,
  defineJob,
  inSpan,
  MessageLimitError,
  PayloadError,
  ReservedAttributeError,
  withOrderKey,
} from '../../shared/index.ts';
import { UnstorableDataError } from '../../shared/storable.ts';
import type { Carrier } from '../../shared/trace/carrier.ts';
import { startTestTelemetry, type TestTelemetry } from '../fakes/telemetry.ts';
import { createGate } from '../support/gate.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

let db: TestDatabase;
let telemetry: TestTelemetry;
let outbox: Outbox;
beforeAll(async () => {
  telemetry = startTestTelemetry();
  db = await createTestDatabase();
});
beforeEach(() => {
  outbox = createOutbox({ database: db.database, source: 'shop' });
});
afterEach(() => db.database.query('DELETE FROM throughline.outbox'));
afterAll(async () => {
  await db.close();
  await telemetry.stop();
});

const note = defineJob({
  name: 'note.keep',
  version: 1,
  topic: 'notes',
  payload: z.strictObject({ text: z.string() }),
  orderingKey: (_, orderKey) => orderKey,
});

interface Stored {
  readonly job_id: string;
  readonly job_type: string;
  readonly topic: string;
  readonly ordering_key: string | null;
  readonly order_key: string | null;
  readonly data: string;
  readonly attributes: Record<string, string>;
  readonly carrier: Carrier;
}

async function stored(): Promise<Stored[]> {
  const { rows } = await db.database.query<Stored & Record<string, unknown>>(
    'SELECT job_id, job_type, topic, ordering_key, order_key, data, attributes, carrier FROM throughline.outbox ORDER BY id',
  );
  return rows;
}

const ids = async () => (await stored()).map(({ job_id }) => job_id);

/** Counts how often relays are woken. */
async function hearWakeUps() {
  let heard = -1; // the first call says that it listens
  let gate = createGate();
  const stop = await db.database.listen(OUTBOX_CHANNEL, () => {
    heard += 1;
    if (heard > 0) gate.open();
  });
  onTestFinished(stop);
  return {
    count: () => heard,
    next: async () => {
      await gate.opened;
      gate = createGate();
    },
  };
}

test('a job is stored as it goes on the wire, with the context of whatever enqueued it beside it', async () => {
  const { jobId, active } = await inSpan('place order', {}, async (span) => {
    const own = withOrderKey(context.active(), 'o-1');
    const result = await context.with(own, () =>
      db.database.transaction((tx) =>
        outbox.enqueue(tx, note, { text: 'hällo' }, { attributes: { region: 'eu' } }),
      ),
    );
    return { ...result, active: span.spanContext() };
  });
  const [row] = await stored();
  expect(row).toMatchObject({
    job_id: jobId,
    job_type: 'note.keep.v1',
    topic: 'notes',
    ordering_key: 'o-1',
    order_key: 'o-1',
    data: '{"text":"hällo"}',
    attributes: {
      'ce-id': jobId,
      'ce-type': 'note.keep.v1',
      'ce-source': 'shop',
      'ce-subject': 'o-1',
      region: 'eu',
    },
    carrier: { traceparent: `00-${active.traceId}-${active.spanId}-01`, baggage: 'order.event_id=o-1' },
  });
  expect(Object.keys(row?.attributes ?? {})).not.toContain('traceparent');
  expect(trace.getActiveSpan()).toBeUndefined();
});

test('a transaction that is rolled back stores nothing and wakes nobody', async () => {
  const wakeUps = await hearWakeUps();
  const failing = db.database.transaction(async (tx) => {
    await outbox.enqueue(tx, note, { text: 'a' });
    throw new Error('changed my mind');
  });
  await expect(failing).rejects.toThrow('changed my mind');
  expect(await ids()).toEqual([]);
  await db.database.transaction((tx) => outbox.enqueue(tx, note, { text: 'b' }, { jobId: 'b' }));
  await wakeUps.next();
  expect(wakeUps.count()).toBe(1);
  expect(await ids()).toEqual(['b']);
});

test('a client of pg that knows nothing of us enqueues in its own transaction', async () => {
  const client = new pg.Client({ connectionString: db.url });
  await client.connect();
  onTestFinished(() => client.end());
  const wakeUps = await hearWakeUps();
  await client.query('BEGIN');
  await outbox.enqueue(client, note, { text: 'a' }, { jobId: 'never' });
  await client.query('ROLLBACK');
  expect(await ids()).toEqual([]);
  await client.query('BEGIN');
  await outbox.enqueue(client, note, { text: 'a' }, { jobId: 'plain' });
  expect(await ids()).toEqual([]);
  await client.query('COMMIT');
  await wakeUps.next();
  expect(await ids()).toEqual(['plain']);
  expect(wakeUps.count()).toBe(1);
});

test('a job id that is stored already is left as it is', async () => {
  const enqueue = (text: string) =>
    db.database.transaction((tx) => outbox.enqueue(tx, note, { text }, { jobId: 'same' }));
  expect(await enqueue('first')).toEqual({ jobId: 'same' });
  expect(await enqueue('second')).toEqual({ jobId: 'same' });
  expect(await stored()).toMatchObject([{ job_id: 'same', data: '{"text":"first"}' }]);
});

test('two transactions that enqueue the same job at once store it once, and neither fails', async () => {
  const isStored = createGate();
  const mayCommit = createGate();
  const first = db.database.transaction(async (tx) => {
    await outbox.enqueue(tx, note, { text: 'first' }, { jobId: 'same' });
    isStored.open();
    await mayCommit.opened;
  });
  await isStored.opened;
  const second = db.database.transaction((tx) =>
    outbox.enqueue(tx, note, { text: 'second' }, { jobId: 'same' }),
  );
  mayCommit.open();
  await Promise.all([first, second]);
  expect(await stored()).toMatchObject([{ data: '{"text":"first"}' }]);
});

test('many jobs are stored in their order, with a wake-up for all of them', async () => {
  const wakeUps = await hearWakeUps();
  const items = Array.from({ length: 250 }, (_, index) => ({
    payload: { text: String(index) },
    orderKey: `o-${index % 3}`,
  }));
  const jobIds = await db.database.transaction((tx) => outbox.enqueueAll(tx, note, items));
  const rows = await stored();
  expect(rows.map(({ job_id }) => job_id)).toEqual(jobIds);
  expect(rows.map(({ data }) => (JSON.parse(data) as { text: string }).text)).toEqual(
    items.map(({ payload }) => payload.text),
  );
  expect(rows[4]).toMatchObject({ order_key: 'o-1', carrier: { baggage: 'order.event_id=o-1' } });
  await wakeUps.next();
  expect(wakeUps.count()).toBe(1);
  expect(await db.database.transaction((tx) => outbox.enqueueAll(tx, note, []))).toEqual([]);
});

test('a job id that comes twice in one call is stored once', async () => {
  const items = ['first', 'second'].map((text) => ({ payload: { text }, jobId: 'same' }));
  expect(await db.database.transaction((tx) => outbox.enqueueAll(tx, note, items))).toEqual(['same', 'same']);
  expect(await stored()).toMatchObject([{ data: '{"text":"first"}' }]);
});

const REFUSED = [
  ['a payload that its schema refuses', PayloadError, { payload: { text: 7 as unknown as string } }],
  [
    'an attribute that is too long',
    MessageLimitError,
    { payload: { text: 'a' }, attributes: { long: 'x'.repeat(1_025) } },
  ],
  [
    'an ordering key that is too long',
    MessageLimitError,
    { payload: { text: 'a' }, orderKey: 'x'.repeat(1_025) },
  ],
  ['a message above 10 MB', MessageLimitError, { payload: { text: 'x'.repeat(10_000_000) } }],
  [
    'too many attributes once the trace context is added, though nothing is traced',
    MessageLimitError,
    {
      payload: { text: 'a' },
      attributes: Object.fromEntries(Array.from({ length: 94 }, (_, index) => [`a${index}`, 'x'])),
    },
  ],
  [
    'an attribute that Pub/Sub keeps for itself',
    ReservedAttributeError,
    { payload: { text: 'a' }, attributes: { googx: 'y' } },
  ],
  [
    'an attribute of the envelope',
    AttributeConflictError,
    { payload: { text: 'a' }, attributes: { 'ce-id': 'mine' } },
  ],
  ['an order key with a NUL', UnstorableDataError, { payload: { text: 'a' }, orderKey: 'o\0' }],
  [
    'an attribute with half a surrogate pair',
    UnstorableDataError,
    { payload: { text: 'a' }, attributes: { smile: '\ud83d' } },
  ],
] as const;

test.each(REFUSED)(
  'is refused before anything is stored: %s',
  async (_, expected, { payload, ...options }) => {
    const enqueueing = inSpan('place order', {}, () =>
      db.database.transaction(async (tx) => {
        await outbox.enqueue(tx, note, { text: 'good' }, { jobId: 'good' });
        await expect(outbox.enqueue(tx, note, payload, options)).rejects.toThrow(expected);
        const good = { payload: { text: 'good too' } };
        await expect(outbox.enqueueAll(tx, note, [good, { payload, ...options }])).rejects.toThrow(expected);
      }),
    );
    await enqueueing; // the transaction is not spoiled
    expect(await ids()).toEqual(['good']);
  },
);

test('what has room without its baggage is stored, and so is a job whose baggage is too long for a message', async () => {
  const attributes = Object.fromEntries(Array.from({ length: 92 }, (_, index) => [`a${index}`, 'x']));
  await db.database.transaction((tx) =>
    outbox.enqueue(tx, note, { text: 'full' }, { jobId: 'full', orderKey: 'o-1', attributes }),
  );
  const orderKey = '注'.repeat(200); // 1_800 bytes in baggage
  await db.database.transaction((tx) =>
    outbox.enqueue(tx, note, { text: 'long' }, { jobId: 'long', orderKey }),
  );
  expect(await ids()).toEqual(['full', 'long']);
});

test('a row of one’s own statement is the row that enqueue stores', async () => {
  const options = { source: 'shop', jobId: 'own', orderKey: 'o-1' };
  const row = outboxRow(note, { text: 'a' }, options);
  await db.database.transaction((tx) => outbox.enqueue(tx, note, { text: 'a' }, options));
  const [found] = await stored();
  const { 'ce-time': _, ...attributes } = row.attributes;
  expect(found).toMatchObject({ ...row, attributes });
});
