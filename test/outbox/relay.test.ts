import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { z } from 'zod';
import { createRelay, outboxRow } from '../../publisher/index.ts';
import { takeUnsent } from '../../publisher/outbox-rows.ts';
import { defineJob, type MessageSink, OptionsError } from '../../shared/index.ts';
import { openDatabase } from '../../shared/storage/database.ts';
import { startEmbeddedPostgres } from '../../shared/storage/embedded.ts';
import { migrate } from '../../shared/storage/migrate.ts';
import { THROUGHLINE_MIGRATIONS } from '../../shared/storage/migrations/index.ts';
import { createRelayLab, type RelayLab } from '../support/relay-lab.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

/** How relays take rows and mark them; Pub/Sub is a sink that the test holds. */
let db: TestDatabase;
let lab: RelayLab;
beforeEach(async () => {
  db = await createTestDatabase();
  lab = createRelayLab(db);
  onTestFinished(() => db.close());
});
afterEach(() => lab.sink.refuse(undefined));

const payload = z.strictObject({ text: z.string() });
const note = defineJob({ name: 'note.keep', version: 1, topic: 'notes', payload });
const keyed = defineJob({
  name: 'note.keyed',
  version: 1,
  topic: 'notes',
  payload,
  orderingKey: (_, orderKey) => orderKey,
});
const mail = defineJob({ name: 'mail.send', version: 1, topic: 'mails', payload });

const NEVER_MS = 3_600_000;

function enqueue(job: typeof note, jobIds: readonly string[], orderKey?: string) {
  const items = jobIds.map((jobId) => ({
    payload: { text: jobId },
    jobId,
    ...(orderKey !== undefined && { orderKey }),
  }));
  return db.database.transaction((tx) => lab.outbox.enqueueAll(tx, job, items));
}

const numbered = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, index) => `${prefix}${index}`);
const sentIds = () => lab.sink.messages.map(({ attributes }) => attributes['ce-id'] ?? '');
const unsent = async () => (await lab.rows()).filter(({ is_sent }) => !is_sent).map(({ job_id }) => job_id);

/** Refuses every request that has a message with one of these ids, as Pub/Sub does: whole. */
function refusing(badIds: readonly string[], code: number): MessageSink {
  return {
    ...lab.sink,
    async publish(topic, messages) {
      const isBad = messages.some(({ attributes }) => badIds.includes(attributes['ce-id'] ?? ''));
      if (isBad) throw Object.assign(new Error('refused'), { code });
      return lab.sink.publish(topic, messages);
    },
  };
}

/** The same sink, and what was asked of it. */
function counting(sink: MessageSink) {
  const asked: { readonly topic: string }[] = [];
  const publish: MessageSink['publish'] = (topic, messages) => {
    asked.push({ topic });
    return sink.publish(topic, messages);
  };
  return { sink: { ...sink, publish }, asked };
}

/** Stops the clock by which a relay sees how late it is. Shape: lets time pass, in ms. */
function fakeClock(): (ms: number) => void {
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => void vi.useRealTimers());
  return (ms) => vi.advanceTimersByTime(ms);
}

/** Each of these fills a request of its own. */
async function enqueueLarge(job: typeof note, jobIds: readonly string[]) {
  await enqueue(job, jobIds);
  await db.database.query(
    `UPDATE throughline.outbox SET data = json_build_object('text', repeat('x', 5000000)) WHERE job_id = ANY($1)`,
    [jobIds],
  );
}

test('a commit wakes the relay', async () => {
  await lab.relay({ pollMs: NEVER_MS });
  await enqueue(note, ['a']);
  await lab.sent(1);
  expect(sentIds()).toEqual(['a']);
});

test('a row that was stored without a notification is found by looking', async () => {
  await lab.relay({ pollMs: 20 });
  const row = outboxRow(note, { text: 'a' }, { source: 'shop', jobId: 'quiet' });
  await db.database.query(
    `INSERT INTO throughline.outbox (job_id, job_type, topic, data, attributes, carrier) VALUES ($1, $2, $3, $4, $5, $6)`,
    [row.job_id, row.job_type, row.topic, row.data, row.attributes, row.carrier],
  );
  await lab.sent(1);
  expect(sentIds()).toEqual(['quiet']);
});

test('two relays side by side take different rows, and send each once', async () => {
  lab.sink.hold();
  await enqueue(note, numbered('n', 40));
  await Promise.all([lab.relay({ batchSize: 20 }), lab.relay({ batchSize: 20 })]);
  const held = await lab.sink.requested(2);
  expect(held.map(({ messages }) => messages.length)).toEqual([20, 20]);
  lab.sink.answer();
  lab.sink.answer();
  await lab.sent(40);
  expect(sentIds().sort()).toEqual(numbered('n', 40).sort());
  expect((await lab.rows()).every(({ is_sent, sends }) => is_sent && sends === 1)).toBe(true);
});

test('many relays and many commits send every row once', async () => {
  await Promise.all(numbered('relay', 3).map(() => lab.relay({ batchSize: 7 })));
  await Promise.all(numbered('', 20).map((at) => enqueue(note, numbered(`n${at}-`, 25))));
  await lab.sent(500);
  expect(new Set(sentIds()).size).toBe(500);
  expect(sentIds()).toHaveLength(500);
});

test('O1: a row is marked only once Pub/Sub has stored its message', async () => {
  lab.sink.hold();
  await lab.relay();
  await enqueue(note, ['a']);
  await lab.sink.requested(1);
  expect(await unsent()).toEqual(['a']);
  lab.sink.answer();
  await lab.sent(1);
  expect(await unsent()).toEqual([]);
});

test('O2: while a relay has ordered rows in hand nobody else gets any, and the others do not wait', async () => {
  lab.sink.hold();
  await lab.relay({ batchSize: 1 });
  await enqueue(keyed, ['k1', 'k2'], 'o-1');
  await lab.sink.requested(1);
  await enqueue(note, ['free']);
  await lab.sink.requested(2);
  const others = await db.database.transaction((tx) => takeUnsent(tx, { lane: 'ordered', limit: 10 }));
  expect(others).toEqual([]);
  for (let answered = 1; answered <= 3; answered++) {
    await lab.sink.requested(answered);
    lab.sink.answer();
  }
  await lab.sent(3);
  expect(sentIds().filter((id) => id.startsWith('k'))).toEqual(['k1', 'k2']);
});

test('O2: several relays keep the jobs of each key in order', async () => {
  await Promise.all(numbered('relay', 3).map(() => lab.relay({ batchSize: 5 })));
  const keys = ['o-1', 'o-2', 'o-3'];
  for (let round = 0; round < 20; round++) {
    await Promise.all(keys.map((key) => enqueue(keyed, numbered(`${key}/${round}/`, 3), key)));
  }
  await lab.sent(180);
  for (const key of keys) {
    const wanted = numbered('', 20).flatMap((round) => numbered(`${key}/${round}/`, 3));
    expect(sentIds().filter((id) => id.startsWith(key))).toEqual(wanted);
  }
});

test('O2: behind a job that cannot be sent those of its key wait, and those of other keys do not', async () => {
  const bad: string[] = ['bad'];
  await lab.relay({ sink: refusing(bad, status.INVALID_ARGUMENT), batchSize: 3 });
  await enqueue(keyed, ['before', 'bad', 'behind-1'], 'o-1');
  await enqueue(keyed, ['other'], 'o-2');
  await enqueue(keyed, ['behind-2'], 'o-1');
  await lab.sent(2);
  expect(sentIds()).toEqual(['before', 'other']);
  expect(await unsent()).toEqual(['bad', 'behind-1', 'behind-2']);
  bad.pop();
  await lab.sent(5);
  expect(sentIds()).toEqual(['before', 'other', 'bad', 'behind-1', 'behind-2']);
});

test('O4: a message that Pub/Sub refuses does not keep those beside it from being sent', async () => {
  await lab.relay({ sink: refusing(['n3'], status.INVALID_ARGUMENT) });
  await enqueue(note, numbered('n', 6));
  await lab.sent(5);
  const rows = await lab.rows();
  expect(rows.filter(({ is_sent }) => is_sent).map(({ job_id }) => job_id)).toEqual([
    'n0',
    'n1',
    'n2',
    'n4',
    'n5',
  ]);
  expect(rows[3]).toMatchObject({ job_id: 'n3', sends: 0, last_error: 'INVALID_ARGUMENT: refused' });
});

test('O4: so does a row that somebody spoiled in the table', async () => {
  await enqueue(note, ['good-1', 'long', 'reserved', 'good-2']);
  const spoil = (jobId: string, attributes: Readonly<Record<string, string>>) =>
    db.database.query('UPDATE throughline.outbox SET attributes = $2 WHERE job_id = $1', [jobId, attributes]);
  await spoil('long', { long: 'x'.repeat(2_000) });
  await spoil('reserved', { googx: 'x' });
  await lab.relay();
  await lab.sent(2);
  expect(sentIds()).toEqual(['good-1', 'good-2']);
  expect((await lab.rows()).map(({ last_error }) => last_error?.split(':')[0])).toEqual([
    undefined,
    'MESSAGE_LIMIT',
    'ATTRIBUTE_RESERVED',
    undefined,
  ]);
});

test('O4: one bad message among very many costs a few requests more, not one for each', async () => {
  const { sink, asked } = counting(refusing(['n321'], status.INVALID_ARGUMENT));
  await enqueue(note, numbered('n', 500));
  await lab.relay({ sink, pollMs: NEVER_MS });
  const [batch] = await lab.batches(1);
  expect(batch).toMatchObject({ taken: 500, sent: 499, failures: [{ rows: 1 }], handedBack: 0 });
  expect(asked.length).toBeLessThanOrEqual(2 * Math.ceil(Math.log2(500)) + 1);
  expect(await unsent()).toEqual(['n321']);
});

test('O5: a batch is over in time, however many of its messages are refused one by one', async () => {
  const pass = fakeClock();
  const ids = numbered('n', 64);
  const far = refusing(ids, status.INVALID_ARGUMENT);
  const { sink, asked } = counting({
    ...far,
    publish(topic, messages) {
      pass(1_000);
      return far.publish(topic, messages);
    },
  });
  await enqueue(note, ids);
  await lab.relay({ sink, pollMs: NEVER_MS, publishTimeoutMs: 10_000 });
  await lab.batches(1);
  expect(asked).toHaveLength(6); // those of five seconds
  const rows = await lab.rows();
  expect(rows.every(({ last_error }) => last_error === 'INVALID_ARGUMENT: refused')).toBe(true);
});

test('O5: what there is no time for is handed back as it was, and is sent in the next batch', async () => {
  const pass = fakeClock();
  lab.sink.hold();
  await enqueueLarge(note, ['n0', 'n1', 'n2']);
  await lab.relay({ pollMs: NEVER_MS, publishTimeoutMs: 10_000 });
  for (let requests = 1; requests <= 3; requests++) {
    await lab.sink.requested(requests);
    pass(5_001);
    lab.sink.answer();
  }
  expect(await lab.sent(3)).toMatchObject([
    { taken: 3, sent: 1, failures: [], handedBack: 2 },
    { taken: 2, sent: 1, failures: [], handedBack: 1 },
    { taken: 1, sent: 1, failures: [], handedBack: 0 },
  ]);
  expect(await lab.rows()).toMatchObject(Array.from({ length: 3 }, () => ({ sends: 1, last_error: null })));
});

test('O5: a topic that hangs is asked once, and then does not keep the jobs of others waiting', async () => {
  const { sink, asked } = counting({
    ...lab.sink,
    publish: (topic, messages) =>
      topic === 'notes' ? new Promise<never>(() => {}) : lab.sink.publish(topic, messages),
  });
  await enqueueLarge(note, numbered('n', 6));
  await enqueue(mail, ['m0', 'm1']);
  await lab.relay({ sink, batchSize: 3, publishTimeoutMs: 1_000 });
  const batches = await lab.sent(2);
  expect(asked.map(({ topic }) => topic)).toEqual(['notes', 'mails']);
  expect(batches[0]).toMatchObject({ sent: 0, failures: [{ topic: 'notes', rows: 1 }], handedBack: 2 });
  expect((await lab.rows()).filter(({ last_error }) => last_error).map(({ job_id }) => job_id)).toEqual([
    'n0',
  ]);
});

test('a topic that hangs is given up in time, and is tried again', async () => {
  lab.sink.hold();
  await lab.relay({ publishTimeoutMs: 100 });
  await enqueue(note, ['slow']);
  const [batch] = await lab.batches(1);
  expect(batch).toMatchObject({
    sent: 0,
    failures: [{ topic: 'notes', error: { code: 'PUBLISH_TIMEOUT' } }],
  });
  expect(await lab.rows()).toMatchObject([{ is_sent: false, sends: 0 }]);
  await lab.sink.requested(2);
  lab.sink.answer();
  lab.sink.answer();
  await lab.sent(1);
});

test('O4: a topic that fails does not stop another, and its jobs are sent when it is there again', async () => {
  const bad = ['n0', 'n1'];
  await lab.relay({ sink: refusing(bad, status.NOT_FOUND) });
  await enqueue(note, ['n0', 'n1']);
  await enqueue(mail, ['m0', 'm1']);
  await lab.sent(2);
  expect(sentIds()).toEqual(['m0', 'm1']);
  expect((await lab.rows()).map(({ last_error }) => last_error)).toEqual([
    'NOT_FOUND: refused',
    'NOT_FOUND: refused',
    null,
    null,
  ]);
  bad.length = 0;
  await lab.sent(4);
  expect(await lab.rows()).toMatchObject(Array.from({ length: 4 }, () => ({ sends: 1, last_error: null })));
});

test('O4: the longer a row has failed, the longer until it is tried again, and never longer than ten seconds', async () => {
  await enqueue(note, ['new', 'older', 'old']);
  const age = (jobId: string, seconds: number) =>
    db.database.query(
      `UPDATE throughline.outbox SET enqueued_at = now() - $2 * interval '1 s' WHERE job_id = $1`,
      [jobId, seconds],
    );
  await age('older', 20);
  await age('old', 86_400);
  lab.sink.refuse(Object.assign(new Error('away'), { code: status.UNAVAILABLE }));
  await lab.relay({ pollMs: NEVER_MS });
  await lab.batches(1);
  const { rows } = await db.database.query<{ seconds: number; left: number }>(
    `SELECT extract(epoch FROM not_before - now())::float8 AS left, extract(epoch FROM not_before - enqueued_at)::float8 - CASE job_id
       WHEN 'older' THEN 20 WHEN 'old' THEN 86400 ELSE 0 END AS seconds FROM throughline.outbox ORDER BY id`,
  );
  const [fresh = 0, older = 0, old = 0] = rows.map(({ seconds }) => seconds);
  expect(fresh).toBeGreaterThan(0.3);
  expect(older).toBeGreaterThan(3.7);
  expect(old).toBeGreaterThan(7.4);
  for (const { left } of rows) expect(left).toBeLessThan(10);
});

test('O3: what was sent long ago and is not finished is sent again; what was sent lately is not', async () => {
  await enqueue(note, ['forgotten', 'recent']);
  const first = await lab.relay({ pollMs: NEVER_MS });
  await lab.sent(2);
  await first.stop();
  await db.database.query(
    `UPDATE throughline.outbox SET sent_at = now() - interval '1 hour' WHERE job_id = 'forgotten'`,
  );
  await lab.relay({ pollMs: NEVER_MS, resendAfterMs: 600_000 });
  await lab.sent(3);
  expect(sentIds()).toEqual(['forgotten', 'recent', 'forgotten']);
  expect((await lab.rows()).map(({ sends }) => sends)).toEqual([2, 1]);
});

test('a relay that stops finishes the batch in hand, and takes no other', async () => {
  lab.sink.hold();
  const relay = await lab.relay({ batchSize: 1 });
  await enqueue(note, ['a', 'b']);
  await lab.sink.requested(1);
  const stopped = Promise.all([relay.stop(), relay.stop()]);
  lab.sink.answer();
  await stopped;
  expect(sentIds()).toEqual(['a']);
  expect(await unsent()).toEqual(['b']);
});

test('a relay goes on after PostgreSQL was away', async () => {
  const postgres = await startEmbeddedPostgres();
  const database = openDatabase({ connectionString: postgres.url });
  await migrate(database, THROUGHLINE_MIGRATIONS);
  const own = createRelayLab({ database, url: postgres.url, close: () => database.close() });
  const relay = await own.relay({ pollMs: NEVER_MS });
  await postgres.stop('immediate');
  await postgres.start();
  await database.transaction((tx) => own.outbox.enqueue(tx, note, { text: 'a' }));
  await own.sent(1);
  await relay.stop();
  await database.close();
  await postgres.close();
});

test('options that make no sense are refused at once', () => {
  const { database } = db;
  const create = () => createRelay({ database, sink: lab.sink, batchSize: 1_001, pollMs: 0 });
  expect(create).toThrow(OptionsError);
  expect(create).toThrow(/batchSize[\s\S]*pollMs/);
});
