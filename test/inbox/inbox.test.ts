import { beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { OptionsError } from '../../shared/index.ts';
import { openDatabase, type Transaction } from '../../shared/storage/database.ts';
import type { Claim, Refusal } from '../../subscriber/claim.ts';
import { ClaimLostError } from '../../subscriber/errors.ts';
import { sweepFinished } from '../../subscriber/inbox-rows.ts';
import { createInbox, type Inbox, type InboxOptions } from '../../subscriber/index.ts';
import { type GatedDatabase, gateDatabase } from '../support/gated-database.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

/** The inbox itself; two of them stand for two worker processes. */
let db: TestDatabase;
let database: GatedDatabase;
let inbox: Inbox;
let other: Inbox;
beforeEach(async () => {
  db = await createTestDatabase();
  database = gateDatabase(db.database);
  onTestFinished(() => db.close());
  await database.query('CREATE TABLE effect (job_id text)');
  inbox = newInbox();
  other = newInbox();
});

function newInbox(options?: Partial<InboxOptions>): Inbox {
  const created = createInbox({ database, consumer: 'worker', claimMs: 30_000, ...options });
  onTestFinished(() => created.stop());
  return created;
}

const ask = (of: Inbox, jobId = 'a'): Promise<Claim | Refusal> =>
  of.claim({ jobId, jobType: 'note.keep.v1' });

async function claimed(of: Inbox, jobId = 'a'): Promise<Claim> {
  const answer = await ask(of, jobId);
  if ('kind' in answer) throw new Error(`refused: ${answer.kind}`);
  return answer;
}

const effect = (jobId: string) => async (tx: Transaction) => {
  await tx.query('INSERT INTO effect VALUES ($1)', [jobId]);
};
const effects = async () => (await database.query<{ job_id: string }>('SELECT job_id FROM effect')).rows;
interface InboxRow {
  readonly state: string;
  readonly attempt: number;
  readonly claim_until: Date | null;
}

const row = async (jobId = 'a') =>
  (
    await database.query<InboxRow & Record<string, unknown>>(
      'SELECT * FROM throughline.inbox WHERE job_id = $1',
      [jobId],
    )
  ).rows[0];
/** As if its owner had been silent for too long. */
const expire = (jobId = 'a') =>
  database.query(`UPDATE throughline.inbox SET claim_until = now() - interval '1 ms' WHERE job_id = $1`, [
    jobId,
  ]);

test('I1: effects commit with the record that the job is done, in one transaction', async () => {
  await inbox.finish(await claimed(inbox), effect('a'));
  const { rows } = await database.query(
    'SELECT e.xmin = i.xmin AS is_same, i.state, i.claimed_by FROM effect e JOIN throughline.inbox i USING (job_id)',
  );
  expect(rows).toEqual([{ is_same: true, state: 'done', claimed_by: null }]);
});

test('I1: effects that fail leave neither themselves nor the record, and the claim stays', async () => {
  const claim = await claimed(inbox);
  const failing = inbox.finish(claim, async (tx) => {
    await effect('a')(tx);
    throw new Error('changed my mind');
  });
  await expect(failing).rejects.toThrow('changed my mind');
  expect(await effects()).toEqual([]);
  expect(await row()).toMatchObject({ state: 'claimed', attempt: 1 });
  await inbox.finish(claim, effect('a'));
  expect(await effects()).toHaveLength(1);
});

test('I2: a job that is claimed is refused to everybody else, and to its owner a second time', async () => {
  await claimed(inbox);
  for (const asking of [inbox, other]) {
    const refusal = await ask(asking);
    expect(refusal).toMatchObject({ kind: 'held' });
    expect('forMs' in refusal && refusal.forMs).toBeGreaterThan(20_000);
  }
});

test('I2: of many deliveries that ask at once one is given the claim', async () => {
  const answers = await Promise.all(
    [inbox, other, inbox, other].flatMap((asking) => ['a', 'b', 'a'].map((jobId) => ask(asking, jobId))),
  );
  const given = answers.flatMap((answer) => ('kind' in answer ? [] : [answer.jobId]));
  expect(given.sort()).toEqual(['a', 'b']);
  expect(answers.filter((answer) => 'kind' in answer && answer.kind === 'held')).toHaveLength(10);
});

test('I3: an expired claim is taken over as the same attempt, and its old owner can record nothing', async () => {
  const old = await claimed(inbox);
  await expire();
  const taken = await claimed(other);
  expect(taken).toMatchObject({ attempt: 1, lost: 1 });
  await expect(inbox.finish(old, effect('old'))).rejects.toThrow(ClaimLostError);
  await expect(inbox.finish(old)).rejects.toThrow(ClaimLostError);
  await expect(inbox.bury(old, 'late', effect('old'))).rejects.toThrow(ClaimLostError);
  await inbox.release(old, true);
  expect(await row()).toMatchObject({ state: 'claimed', attempt: 1 });
  await other.finish(taken, effect('new'));
  expect(await effects()).toEqual([{ job_id: 'new' }]);
});

test('attempts count runs whose end is known: a release that counts makes the next one, a hand-back does not', async () => {
  await inbox.release(await claimed(inbox), false);
  expect(await claimed(other)).toMatchObject({ attempt: 1, lost: 0 });
  await expire();
  const second = await claimed(inbox);
  expect(second).toMatchObject({ attempt: 1, lost: 1 });
  await inbox.release(second, true);
  expect(await claimed(other)).toMatchObject({ attempt: 2, lost: 1 });
});

test.each([
  ['done', (claim: Claim) => inbox.finish(claim)],
  ['dead', (claim: Claim) => inbox.bury(claim, 'no use')],
  ['cancelled', (claim: Claim) => inbox.cancel(claim, { by: 'operator' })],
])('I4: a job that is %s stays so, and is taken out of the outbox whoever asks', async (state, end) => {
  await end(await claimed(inbox));
  await database.query(`INSERT INTO throughline.outbox (job_id, job_type, topic, data, attributes, carrier, sent_at)
    VALUES ('a', 'note.keep.v1', 'notes', '{}', '{}', '{}', now())`);
  expect(await ask(other)).toMatchObject({ kind: state });
  expect((await database.query('SELECT FROM throughline.outbox')).rows).toEqual([]);
  expect(await row()).toMatchObject({ state, attempt: 1 });
});

test('a tombstone cancels a job for every consumer, before it has ever come', async () => {
  await database.query(`INSERT INTO throughline.inbox (consumer, job_id, job_type, state, reason, finished_at)
    VALUES ('*', 'a', 'note.keep.v1', 'cancelled', 'the order was cancelled', now())`);
  const elsewhere = newInbox({ consumer: 'elsewhere' });
  for (const asking of [inbox, elsewhere]) {
    expect(await ask(asking)).toEqual({ kind: 'cancelled', reason: 'the order was cancelled' });
  }
  expect('kind' in (await ask(inbox, 'b'))).toBe(false);
});

test('consumers do not share what they have done', async () => {
  await inbox.finish(await claimed(inbox));
  expect('kind' in (await ask(newInbox({ consumer: 'elsewhere' })))).toBe(false);
});

test('what finished long ago is forgotten, tombstones too; the rest is kept', async () => {
  await database.query(`
    INSERT INTO throughline.inbox (consumer, job_id, job_type, state, first_at, finished_at)
    SELECT consumer, consumer || '/' || job_id, 't', state, now() - interval '30 days', now() - age::interval
    FROM (VALUES ('worker'), ('*'), ('elsewhere')) AS c (consumer),
      (VALUES ('old', 'done', '8 days'), ('dead', 'dead', '8 days'), ('recent', 'done', '6 days'),
        ('running', 'claimed', NULL), ('waiting', 'waiting', NULL)) AS j (job_id, state, age)`);
  await database.query(`
    INSERT INTO throughline.inbox (consumer, job_id, job_type, state, finished_at)
    SELECT 'worker', 'many/' || n, 't', 'done', now() - interval '8 days' FROM generate_series(1, 2500) AS n`);
  await sweepFinished(database, 'worker', 7 * 86_400_000);
  const { rows } = await database.query<{ job_id: string }>(
    'SELECT job_id FROM throughline.inbox ORDER BY job_id',
  );
  const kept = ['recent', 'running', 'waiting'];
  expect(rows.map(({ job_id }) => job_id).sort()).toEqual(
    [
      ...kept.map((id) => `*/${id}`),
      ...[...kept, 'old', 'dead'].map((id) => `elsewhere/${id}`),
      ...kept.map((id) => `worker/${id}`),
    ].sort(),
  );
});

test('a record whose answer was lost counts, when it is there', async () => {
  const claim = await claimed(inbox);
  const lost = database.loseAnswer((text) => text.startsWith('throughline-inbox-finish'));
  await Promise.all([inbox.finish(claim), lost]);
  expect(await row()).toMatchObject({ state: 'done' });
});

test('a record whose answer was lost fails, when it is not there', async () => {
  const claim = await claimed(inbox);
  const lost = database.loseAnswer((text) => text.startsWith('throughline-inbox-finish')); // and so the transaction is rolled back
  const failing = inbox.finish(claim, effect('a'));
  await lost;
  await expect(failing).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE', outcomeUnknown: true });
  expect(await effects()).toEqual([]);
  await inbox.finish(claim, effect('a'));
});

test('I2: handlers whose claim was taken over are told, once that is certain', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  onTestFinished(() => void vi.useRealTimers());
  await claimed(inbox);
  inbox.start();
  const signal = inbox.signal(new AbortController().signal);
  const claimedUntil = async () => String((await row())?.claim_until?.toISOString());
  const before = await claimedUntil();
  vi.advanceTimersByTime(10_000);
  await vi.waitUntil(async () => (await claimedUntil()) !== before);
  expect(signal.aborted).toBe(false);
  await expire();
  await claimed(other);
  vi.advanceTimersByTime(10_000);
  const hold = database.hold((text) => text.startsWith('throughline-inbox-renew'));
  vi.advanceTimersByTime(10_000);
  await hold.reached;
  hold.letGo();
  await vi.waitUntil(() => signal.aborted);
  expect(signal.reason).toBeInstanceOf(ClaimLostError);
  expect(inbox.signal(new AbortController().signal).aborted).toBe(false);
});

test('without a database a claim fails as unavailable, and a release that fails does not throw', async () => {
  const away = openDatabase({
    connectionString: 'postgresql://nobody@127.0.0.1:1/none',
    reconnectWithinMs: 0,
  });
  onTestFinished(() => away.close());
  const lonely = newInbox({ database: away });
  await expect(ask(lonely)).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
  const claim = await claimed(inbox);
  const lost = database.loseAnswer((text) => text.startsWith('throughline-inbox-release'));
  await Promise.all([inbox.release(claim, true), lost]);
});

test('options that make no sense are refused at once', () => {
  expect(() => createInbox({ database, consumer: 'worker', claimMs: 10, retainMs: 0 })).toThrow(OptionsError);
});
