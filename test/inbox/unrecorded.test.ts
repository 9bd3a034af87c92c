import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { deadLetter, done, type Outcome } from '../../shared/index.ts';
import {
  type Database,
  DatabaseUnavailableError,
  openDatabase,
  type Transaction,
} from '../../shared/storage/database.ts';
import type { Claim } from '../../subscriber/claim.ts';
import { createInbox } from '../../subscriber/index.ts';
import type { Channel } from '../support/channel.ts';
import { createGate } from '../support/gate.ts';
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
async function work(
  database: Database,
  before: () => Promise<unknown> = async () => {},
  outcome: Outcome = done(effect),
) {
  const attempts: number[] = [];
  const job = channel.job({ retry: ONCE });
  await channel.work(
    (worker) =>
      worker.handle(job, async ({ attempt }) => {
        attempts.push(attempt);
        await before();
        return outcome;
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

describe('a job whose row in the outbox somebody keeps locked for too long', () => {
  /** As a relay does while it sends; the worker does not wait for long. */
  async function lockOutboxRow() {
    await db.database.query(`INSERT INTO throughline.outbox (job_id, job_type, topic, data, attributes, carrier)
      VALUES ('a', 'note.keep.v1', 'notes', '{}', '{}', '{}')`);
    const locked = createGate();
    const mayEnd = createGate();
    const relaying = db.database.transaction(async (tx) => {
      await tx.query('SELECT FROM throughline.outbox FOR UPDATE');
      locked.open();
      await mayEnd.opened;
    });
    await locked.opened;
    const impatient = openDatabase({ connectionString: db.url, lockTimeoutMs: 100 });
    onTestFinished(() => impatient.close());
    const letGo = async () => {
      mayEnd.open();
      await relaying;
    };
    onTestFinished(letGo);
    return { impatient, letGo };
  }
  const rows = async () => (await db.database.query('SELECT state, attempt FROM throughline.inbox')).rows;

  test('is handed back, and its run is no attempt', async () => {
    const { impatient, letGo } = await lockOutboxRow();
    const attempts = await work(impatient);
    await channel.settled.all(1);
    await letGo();
    await channel.settled.final(1);
    expect(await rows()).toEqual([{ state: 'done', attempt: 1 }]);
    expect(channel.settled.entries[0]).toMatchObject({ outcome: 'retry' });
    expect(new Set(attempts)).toEqual(new Set([1]));
    expect(await effects()).toBe(1);
    expect(await channel.pullNow('dead-letters')).toBe(0);
  });

  test('is handed back also when it is given up, and dies at the same attempt', async () => {
    const { impatient, letGo } = await lockOutboxRow();
    const attempts = await work(impatient, undefined, deadLetter('no use'));
    await channel.settled.all(1);
    await letGo();
    await channel.settled.final(1);
    expect(new Set(attempts)).toEqual(new Set([1]));
    expect(await rows()).toEqual([{ state: 'dead', attempt: 1 }]);
  });

  test('is told so in the words of the inbox, also when it shares its commit', async () => {
    const { impatient } = await lockOutboxRow();
    const inbox = createInbox({ database: impatient, consumer: 'worker' });
    onTestFinished(() => inbox.stop());
    const claim = (await inbox.claim({ jobId: 'a', jobType: 'note.keep.v1' })) as Claim;
    await expect(inbox.finish(claim)).rejects.toMatchObject({
      code: 'FINISH_BLOCKED',
      cause: { code: '55P03' },
    });
    await expect(inbox.bury(claim, 'no use')).rejects.toMatchObject({ code: 'FINISH_BLOCKED' });
  });

  test('is refused when it is over already, and keeps nobody else from being claimed', async () => {
    const { impatient } = await lockOutboxRow();
    await db.database.query(`INSERT INTO throughline.inbox (consumer, job_id, job_type, state, finished_at)
      VALUES ('worker', 'a', 'note.keep.v1', 'done', now())`);
    const inbox = createInbox({ database: impatient, consumer: 'worker' });
    onTestFinished(() => inbox.stop());
    const claims = ['a', 'b'].map((jobId) => inbox.claim({ jobId, jobType: 'note.keep.v1' }));
    expect(await Promise.all(claims)).toMatchObject([{ kind: 'done' }, { jobId: 'b', attempt: 1 }]);
  });

  test('fails when it is the effects that wait in vain for a lock of their own', async () => {
    const { impatient } = await lockOutboxRow();
    const inbox = createInbox({ database: impatient, consumer: 'worker' });
    onTestFinished(() => inbox.stop());
    const claim = (await inbox.claim({ jobId: 'b', jobType: 'note.keep.v1' })) as Claim;
    const failing = inbox.finish(claim, async (tx) => {
      await tx.query('DELETE FROM throughline.outbox');
    });
    await expect(failing).rejects.toMatchObject({ code: '55P03' });
  });
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
