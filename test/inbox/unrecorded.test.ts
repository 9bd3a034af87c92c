import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { done } from '../../shared/index.ts';
import { type Database, DatabaseUnavailableError, type Transaction } from '../../shared/storage/database.ts';
import { createInbox } from '../../subscriber/index.ts';
import type { Channel } from '../support/channel.ts';
import { gateDatabase } from '../support/gated-database.ts';
import { EMBEDDED } from '../support/pubsub-target.ts';
import { type Stage, startStage } from '../support/stage.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

/** Runs that succeeded and could not be recorded: the job is not to blame, even at its last attempt. */
let stage: Stage;
let db: TestDatabase;
let channel: Channel;
beforeAll(async () => {
  stage = await startStage(EMBEDDED);
});
beforeEach(async () => {
  db = await createTestDatabase();
  onTestFinished(() => db.close());
  await db.database.query('CREATE TABLE effect (job_id text)');
  channel = await stage.newChannel({ ackDeadlineMs: 10_000 });
});
afterAll(() => stage.close());

const ONCE = { maxAttempts: 1, minBackoffMs: 10, maxBackoffMs: 20 };

const effect = async (tx: Transaction) => {
  await tx.query(`INSERT INTO effect VALUES ('a')`);
};
const effects = async () => (await db.database.query('SELECT FROM effect')).rows.length;

/** A worker with a job that may be tried once; `attempts` tells its runs. */
async function work(database: Database, before: () => Promise<unknown> = async () => {}) {
  const attempts: number[] = [];
  const job = channel.job({ retry: ONCE });
  await channel.work(
    (worker) =>
      worker.handle(job, async ({ attempt }) => {
        attempts.push(attempt);
        await before();
        return done(effect);
      }),
    { inbox: createInbox({ database, consumer: channel.subscription, claimMs: 5_000 }) },
  );
  await channel.publisher.publish(job, { text: 'a' }, { jobId: 'a' });
  return attempts;
}

test('a job whose claim another worker has taken over is left to that worker', async () => {
  await work(db.database, () =>
    db.database.query(
      `UPDATE throughline.inbox SET claimed_by = gen_random_uuid(), claim_until = now() + interval '1 hour'`,
    ),
  );
  await channel.settled.all(1);
  expect(channel.settled.entries).toMatchObject([{ attempt: 1, outcome: 'retry' }]);
  expect(await effects()).toBe(0);
  expect(await channel.pullNow('dead-letters')).toBe(0);
  const { rows } = await db.database.query('SELECT state, attempt FROM throughline.inbox');
  expect(rows).toEqual([{ state: 'claimed', attempt: 1 }]);
});

test('a job is handed back when the database was away before its effects began', async () => {
  const { database } = db;
  let isAway = true;
  const attempts = await work({
    ...database,
    transaction(run) {
      if (!isAway) return database.transaction(run);
      isAway = false;
      return Promise.reject(new DatabaseUnavailableError('away', { outcomeUnknown: false }));
    },
  });
  await channel.settled.final(1);
  expect(attempts).toEqual([1, 1]);
  expect(await effects()).toBe(1);
  expect(await channel.pullNow('dead-letters')).toBe(0);
});

test('I2: a run is ended before its claim expires, also while its renewal waits for a server that is away', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const database = gateDatabase(db.database);
  const inbox = createInbox({ database, consumer: 'worker', claimMs: 30_000 });
  onTestFinished(() => inbox.stop());
  await inbox.claim({ jobId: 'a', jobType: 'note.keep.v1' });
  inbox.start();
  const signal = inbox.signal(new AbortController().signal);
  const hold = database.hold((text) => text.startsWith('throughline-inbox-renew'));
  vi.advanceTimersByTime(10_000);
  await hold.reached;
  vi.advanceTimersByTime(10_000);
  expect(signal.aborted).toBe(false);
  vi.advanceTimersByTime(10_000);
  expect(signal.aborted).toBe(true);
  expect(signal.reason).toMatchObject({ code: 'CLAIM_LOST' });
  hold.letGo();
});
