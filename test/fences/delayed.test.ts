import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { createOutbox, createRelay } from '../../publisher/index.ts';
import { done } from '../../shared/index.ts';
import type { Channel } from '../support/channel.ts';
import { deafFences, fencedBy, fenceOff, lift } from '../support/fence-lab.ts';
import { EMBEDDED } from '../support/pubsub-target.ts';
import { createSignals, type Signals } from '../support/signals.ts';
import { type Stage, startStage } from '../support/stage.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

/** Fences that were added before a job was due: outbox, relay, Pub/Sub and worker. */
let stage: Stage;
let db: TestDatabase;
let channel: Channel;
let ran: Signals;
beforeAll(async () => {
  stage = await startStage(EMBEDDED);
});
beforeEach(async () => {
  db = await createTestDatabase();
  onTestFinished(() => db.close());
  channel = await stage.newChannel();
  ran = createSignals();
});
afterAll(() => stage.close());

async function start() {
  const { database } = db;
  const fences = deafFences(database);
  await channel.work(
    (worker) =>
      worker.handle(channel.job(), async () => {
        ran.signal();
        return done();
      }),
    fencedBy(channel, database, fences),
  );
  const relay = createRelay({ database, sink: channel.sink, pollMs: 20 });
  onTestFinished(() => relay.stop());
  await relay.start();
  const outbox = createOutbox({ database, source: 'shop' });
  const runAt = new Date(Date.now() + 3_600_000);
  await database.transaction((tx) =>
    outbox.enqueue(tx, channel.job(), { text: 'x' }, { jobId: 'later', orderKey: 'O-1', runAt }),
  );
  return fences;
}

const becomeDue = () => db.database.query(`UPDATE throughline.delayed_job SET run_at = now()`);

test('a job that a fence cancels when it is due never runs', async () => {
  const fences = await start();
  await fenceOff(db.database, 'cancel', { orderKey: 'O-1' }, fences);
  await becomeDue();
  expect(await channel.settled.final(1)).toMatchObject([{ jobId: 'later', outcome: 'cancelled' }]);
  expect(ran.count).toBe(0);
  const { rows } = await db.database.query('SELECT job_id FROM throughline.outbox');
  expect(rows).toEqual([]);
});

test('a job that a fence pauses when it is due runs when that is lifted', async () => {
  const fences = await start();
  const fence = await fenceOff(db.database, 'pause', { job: 'note.keep' }, fences);
  await becomeDue();
  await channel.settled.all(1);
  expect(ran.count).toBe(0);
  await lift(db.database, fence, fences);
  await ran.reached(1);
});

test('a fence that was lifted before the job was due has no say in it', async () => {
  const fences = await start();
  const fence = await fenceOff(db.database, 'cancel', { orderKey: 'O-1' }, fences);
  await lift(db.database, fence, fences);
  await becomeDue();
  expect(await channel.settled.final(1)).toMatchObject([{ outcome: 'done' }]);
});
