import pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { createOutbox } from '../../publisher/index.ts';
import { done } from '../../shared/index.ts';
import { openDatabase } from '../../shared/storage/database.ts';
import { createInbox } from '../../subscriber/index.ts';
import type { Channel } from '../support/channel.ts';
import { EMBEDDED } from '../support/pubsub-target.ts';
import { createRelayLab, type RelayLab } from '../support/relay-lab.ts';
import { type Stage, startStage } from '../support/stage.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

/** Who may enqueue, and that what was enqueued arrives as it was, over a real emulator. The relay does not poll. */
let stage: Stage;
let db: TestDatabase;
let lab: RelayLab;
let channel: Channel;
const kept: string[] = [];
beforeAll(async () => {
  stage = await startStage(EMBEDDED);
});
beforeEach(async () => {
  db = await createTestDatabase();
  onTestFinished(() => db.close());
  lab = createRelayLab(db);
  channel = await stage.newChannel();
  kept.length = 0;
  await channel.work(
    (worker) =>
      worker.handle(channel.job(), async ({ payload }) => {
        kept.push(payload.text);
        return done();
      }),
    { inbox: createInbox({ database: db.database, consumer: channel.subscription }) },
  );
  await lab.relay({ sink: channel.sink, pollMs: 3_600_000 });
});
afterAll(() => stage.close());

test('text in any script crosses unharmed, and its size is told in bytes', async () => {
  const text = 'Zürich 東京 🚚 \u0000 \\u0000 "quoted" \n';
  await db.database.transaction((tx) => lab.outbox.enqueue(tx, channel.job(), { text }));
  await channel.settled.final(1);
  expect(kept).toEqual([text]);
  const sent = (await channel.spans()).find(({ name }) => name === `send ${channel.topic}`);
  expect(sent?.attributes['messaging.message.body.size']).toBe(Buffer.byteLength(JSON.stringify({ text })));
});

test('a plain client of pg in a transaction of its own will do, and wakes the relay', async () => {
  const client = new pg.Client({ connectionString: db.url });
  await client.connect();
  await client.query('BEGIN');
  await lab.outbox.enqueue(client, channel.job(), { text: 'never' });
  await client.query('ROLLBACK');
  await client.query('BEGIN');
  await lab.outbox.enqueue(client, channel.job(), { text: 'plain' });
  await client.query('COMMIT');
  await client.end();
  await channel.settled.final(1);
  expect(kept).toEqual(['plain']);
});

test('a commit in another process wakes the relay', async () => {
  const other = openDatabase({ connectionString: db.url });
  const outbox = createOutbox({ database: other, source: 'other' });
  await other.transaction((tx) => outbox.enqueue(tx, channel.job(), { text: 'from afar' }));
  await channel.settled.final(1);
  expect(kept).toEqual(['from afar']);
  await other.close();
});

test('without an active span the send span is a root', async () => {
  await db.database.transaction((tx) => lab.outbox.enqueue(tx, channel.job(), { text: 'alone' }));
  await channel.settled.final(1);
  expect(await channel.tree()).toBe(
    ['send jobs [shop]', '  process jobs [shop] attempt=1 link:producer→send jobs'].join('\n'),
  );
});

test('a job that is enqueued again after it was finished is sent, and not run again', async () => {
  const enqueue = () =>
    db.database.transaction((tx) => lab.outbox.enqueue(tx, channel.job(), { text: 'a' }, { jobId: 'same' }));
  await enqueue();
  await channel.settled.final(1);
  await enqueue();
  await channel.settled.final(2);
  expect(kept).toEqual(['a']);
  expect(await lab.rows()).toEqual([]);
});
