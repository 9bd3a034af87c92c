import { trace } from '@opentelemetry/api';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { done, inSpan } from '../../shared/index.ts';
import { openDatabase } from '../../shared/storage/database.ts';
import { assertConnected } from '../../testing/index.ts';
import type { Channel } from '../support/channel.ts';
import { createOutboxLab, type OutboxLab } from '../support/outbox-lab.ts';
import { EMBEDDED } from '../support/pubsub-target.ts';
import { type Stage, startStage } from '../support/stage.ts';

let stage: Stage;
let lab: OutboxLab;
beforeAll(async () => {
  stage = await startStage(EMBEDDED);
  lab = await createOutboxLab();
});
afterEach(() => lab.reset());
afterAll(async () => {
  await lab.close();
  await stage.close();
});

/** A worker that keeps every note in a table; `kept` reads it. */
async function keeper(channel: Channel) {
  const kept: { text: string; orderKey: string | undefined }[] = [];
  await channel.work(
    (worker) =>
      worker.handle(channel.job(), async ({ payload, orderKey }) => {
        kept.push({ text: payload.text, orderKey });
        return done();
      }),
    { inbox: lab.inbox(channel.subscription) },
  );
  return kept;
}

test('a job is sent if and only if its transaction commits', async () => {
  const channel = await stage.newChannel();
  const kept = await keeper(channel);
  await lab.relay({ sink: channel.sink });
  const rolledBack = lab.database.transaction(async (tx) => {
    await lab.outbox.enqueue(tx, channel.job(), { text: 'never' });
    throw new Error('changed my mind');
  });
  await expect(rolledBack).rejects.toThrow('changed my mind');
  await lab.enqueue(channel.job(), { text: 'committed' });
  await channel.settled.final(1);
  expect(kept.map(({ text }) => text)).toEqual(['committed']);
  expect(await lab.rows()).toEqual([]);
  expect(await channel.pullNow()).toBe(0);
});

test('the trace goes on from whatever enqueued the job, long after that has ended', async () => {
  const channel = await stage.newChannel();
  await inSpan('place order', {}, () =>
    lab.enqueue(channel.job(), { text: 'hello' }, { orderKey: 'o-trace' }),
  );
  const kept = await keeper(channel);
  await lab.relay({ sink: channel.sink });
  await channel.settled.final(1);
  expect(kept).toEqual([{ text: 'hello', orderKey: 'o-trace' }]);
  expect(await channel.tree()).toMatchInlineSnapshot(`
    "place order [shop]
      send jobs [shop]
        process jobs [shop] attempt=1 link:producer→send jobs"
  `);
  assertConnected(await channel.spans(), 'o-trace');
});

test('the stored carrier is that of the active span, with the order key and nothing secret', async () => {
  const channel = await stage.newChannel();
  let active = '';
  await inSpan('place order', {}, async (span) => {
    const { traceId, spanId } = span.spanContext();
    active = `00-${traceId}-${spanId}-`;
    await lab.enqueue(channel.job(), { text: 'hello' }, { orderKey: 'o-1', jobId: 'j-1' });
  });
  const [row] = await lab.rows();
  expect(row?.carrier['traceparent']).toContain(active);
  expect(row?.carrier['baggage']).toBe('order.event_id=o-1');
});

test('a job id that is stored already is left as it is', async () => {
  const channel = await stage.newChannel();
  await lab.enqueue(channel.job(), { text: 'first' }, { jobId: 'same' });
  await lab.enqueue(channel.job(), { text: 'second' }, { jobId: 'same' });
  const kept = await keeper(channel);
  await lab.relay({ sink: channel.sink });
  await channel.settled.final(1);
  expect(kept.map(({ text }) => text)).toEqual(['first']);
  expect(await lab.rows()).toEqual([]);
});

test('what could not be sent is refused before anything is stored, and the transaction goes on', async () => {
  const channel = await stage.newChannel();
  const job = channel.job();
  const fine = { text: 'fine' };
  await lab.database.transaction(async (tx) => {
    const refused = (options: object, payload: unknown = fine) =>
      expect(lab.outbox.enqueue(tx, job, payload as typeof fine, options)).rejects;
    await refused({}, { text: 7 }).toMatchObject({ name: 'PayloadError' });
    await refused({}, { text: 'x'.repeat(10_000_001) }).toMatchObject({ name: 'MessageLimitError' });
    await refused({ attributes: { long: 'x'.repeat(1_025) } }).toMatchObject({ name: 'MessageLimitError' });
    await refused({ attributes: { googclient_x: 'y' } }).toMatchObject({ name: 'ReservedAttributeError' });
    await refused({ attributes: { 'ce-id': 'y' } }).toMatchObject({ name: 'AttributeConflictError' });
    await lab.outbox.enqueue(tx, job, fine, { jobId: 'fine' });
  });
  expect((await lab.rows()).map(({ job_id }) => job_id)).toEqual(['fine']);
});

test('one bad job among many refuses them all', async () => {
  const channel = await stage.newChannel();
  const items = [{ payload: { text: 'a' } }, { payload: { text: 7 as unknown as string } }];
  const refused = lab.database.transaction((tx) => lab.outbox.enqueueAll(tx, channel.job(), items));
  await expect(refused).rejects.toMatchObject({ name: 'PayloadError' });
  expect(await lab.rows()).toEqual([]);
});

test('many jobs are stored at once, and their ids come back in order', async () => {
  const channel = await stage.newChannel();
  const kept = await keeper(channel);
  await lab.relay({ sink: channel.sink });
  const items = ['a', 'b', 'c'].map((text) => ({ payload: { text }, jobId: `many-${text}` }));
  const ids = await lab.database.transaction((tx) => lab.outbox.enqueueAll(tx, channel.job(), items));
  expect(ids).toEqual(['many-a', 'many-b', 'many-c']);
  expect(await lab.database.transaction((tx) => lab.outbox.enqueueAll(tx, channel.job(), []))).toEqual([]);
  await channel.settled.final(3);
  expect(kept.map(({ text }) => text).sort()).toEqual(['a', 'b', 'c']);
});

test('text in any script crosses unharmed', async () => {
  const channel = await stage.newChannel();
  const text = 'Zürich 東京 🚚 \u0000 \\u0000 "quoted" \n';
  const kept = await keeper(channel);
  await lab.relay({ sink: channel.sink });
  await lab.enqueue(channel.job(), { text });
  await channel.settled.final(1);
  expect(kept.map((note) => note.text)).toEqual([text]);
  const send = (await channel.spans()).find(({ name }) => name === `send ${channel.topic}`);
  expect(send?.attributes['messaging.message.body.size']).toBe(Buffer.byteLength(JSON.stringify({ text })));
});

test('a plain client of pg in a transaction of its own will do, and wakes the relay', async () => {
  const channel = await stage.newChannel();
  const kept = await keeper(channel);
  await lab.relay({ sink: channel.sink }); // which does not poll
  const client = new pg.Client({ connectionString: lab.db.url });
  await client.connect();
  await client.query('BEGIN');
  await lab.outbox.enqueue(client, channel.job(), { text: 'never' });
  await client.query('ROLLBACK');
  await client.query('BEGIN');
  await lab.outbox.enqueue(client, channel.job(), { text: 'plain' });
  await client.query('COMMIT');
  await client.end();
  await channel.settled.final(1);
  expect(kept.map(({ text }) => text)).toEqual(['plain']);
});

test('a commit in another process wakes the relay', async () => {
  const channel = await stage.newChannel();
  const kept = await keeper(channel);
  await lab.relay({ sink: channel.sink }); // which does not poll
  const other = openDatabase({ connectionString: lab.db.url });
  const { createOutbox } = await import('../../publisher/index.ts');
  const outbox = createOutbox({ database: other, source: 'other' });
  await other.transaction((tx) => outbox.enqueue(tx, channel.job(), { text: 'from afar' }));
  await channel.settled.final(1);
  expect(kept.map(({ text }) => text)).toEqual(['from afar']);
  await other.close();
});

test('without an active span the send span is a root', async () => {
  const channel = await stage.newChannel();
  expect(trace.getActiveSpan()).toBeUndefined();
  await lab.enqueue(channel.job(), { text: 'lonely' });
  await keeper(channel);
  await lab.relay({ sink: channel.sink });
  await channel.settled.final(1);
  expect(await channel.tree()).toMatchInlineSnapshot(`
    "send jobs [shop]
      process jobs [shop] attempt=1 link:producer→send jobs"
  `);
});
