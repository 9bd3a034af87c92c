import { randomUUID } from 'node:crypto';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { openDatabase } from '../../shared/storage/database.ts';
import {
  declareLimits,
  removeSlots,
  type SlotRequest,
  takeSlots,
} from '../../subscriber/limits/slot-rows.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

/** How slots are given out, asked for by hand. */
let db: TestDatabase;
beforeEach(async () => {
  db = await createTestDatabase();
  onTestFinished(() => db.close());
  await declareLimits(db.database, [
    { name: 'three', maxRunning: 3 },
    { name: 'one', maxRunning: 1 },
  ]);
});

const KEPT_MS = 60_000;
const consumer = 'c';

/** A job that waits; with a worker, one that has been claimed. */
const ask = (jobId: string, limits = ['three'], worker?: string): SlotRequest => ({
  ...{ consumer, jobId, worker },
  wanted: limits.map((limit) => ({ limit, key: '' })),
});
const take = (...requests: SlotRequest[]) =>
  db.database.transaction((tx) => takeSlots(tx, requests, KEPT_MS));
const limitsOf = (answers: Awaited<ReturnType<typeof take>>) => answers?.map((answer) => answer?.limit);

async function claim(jobId: string, worker: string, forMs: number): Promise<void> {
  await db.database.query(
    `INSERT INTO throughline.inbox (consumer, job_id, job_type, state, claimed_by, claim_until)
     VALUES ($1, $2, 'note.keep.v1', 'claimed', $3, now() + $4 * interval '1 ms')
     ON CONFLICT (consumer, job_id) DO UPDATE SET claimed_by = excluded.claimed_by, claim_until = excluded.claim_until`,
    [consumer, jobId, worker, forMs],
  );
}

test('L2: however many ask at the same time, no more get one than there are', async () => {
  const wide = openDatabase({ connectionString: db.url, maxConnections: 20 });
  onTestFinished(() => wide.close());
  const jobs = Array.from({ length: 60 }, (_, index) => `n${index}`);
  const answers = await Promise.all(
    jobs.map((jobId) => wide.transaction((tx) => takeSlots(tx, [ask(jobId)], KEPT_MS))),
  );
  expect(answers.filter((answer) => answer?.[0] === undefined)).toHaveLength(3);
});

test('L2: those that ask together are told apart', async () => {
  expect(limitsOf(await take(ask('a'), ask('b'), ask('c'), ask('d'), ask('a')))).toEqual([
    undefined,
    undefined,
    undefined,
    'three',
    undefined,
  ]);
});

test('L1: a slot lasts as long as the claim of the worker that took it', async () => {
  const [first, second] = [randomUUID(), randomUUID()];
  await claim('a', first, 60_000);
  expect(limitsOf(await take(ask('a', ['one'], first), ask('b', ['one'])))).toEqual([undefined, 'one']);
  await claim('a', second, 60_000); // the first is dead, and the job was taken over; it has not asked for its slot yet
  expect(limitsOf(await take(ask('b', ['one'])))).toEqual([undefined]);
  expect(limitsOf(await take(ask('a', ['one'], second)))).toEqual(['one']);
});

test('L1: and not longer', async () => {
  const worker = randomUUID();
  await claim('a', worker, 60_000);
  await take(ask('a', ['one'], worker));
  await claim('a', worker, -1);
  expect(limitsOf(await take(ask('b', ['one'])))).toEqual([undefined]);
});

test('L3: what a job cannot have all of it has nothing of', async () => {
  await take(ask('a', ['one']));
  expect(limitsOf(await take(ask('b', ['three', 'one']), ask('c'), ask('d'), ask('e')))).toEqual([
    'one',
    undefined,
    undefined,
    undefined,
  ]);
});

test('L4: a slot is kept for a while, and then it is free', async () => {
  await take(ask('a', ['one']));
  expect(limitsOf(await take(ask('b', ['one'])))).toEqual(['one']);
  await db.database.query(`UPDATE throughline.limit_slot SET kept_until = now() - interval '1 s'`);
  expect(limitsOf(await take(ask('b', ['one'])))).toEqual([undefined]);
});

test('L4: whoever wants to keep a slot for a job that runs elsewhere leaves it to whom it runs', async () => {
  const worker = randomUUID();
  await claim('a', worker, 60_000);
  await take(ask('a', ['one'], worker));
  expect(limitsOf(await take(ask('a', ['one'])))).toEqual([undefined]);
  const { rows } = await db.database.query('SELECT worker, kept_until FROM throughline.limit_slot');
  expect(rows).toEqual([{ worker, kept_until: null }]);
  await removeSlots(db.database, [{ consumer, jobId: 'a' }], randomUUID()); // somebody else's
  expect(limitsOf(await take(ask('b', ['one'])))).toEqual(['one']);
});

test('those that are behind others get only what was kept for them', async () => {
  const behind = (jobId: string) => ({
    ...ask(jobId),
    wanted: [{ limit: 'three', key: '', isBehind: true }],
  });
  expect(limitsOf(await take(behind('a')))).toEqual(['three']);
  await take(ask('a'));
  expect(limitsOf(await take(behind('a')))).toEqual([undefined]);
});

test('a limit that nobody declared is said to be unknown', async () => {
  expect(await take(ask('a', ['none']))).toBeUndefined();
});
