import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { cancelled, deadLetter, done, type Outcome, retry } from '../../shared/index.ts';
import { openDatabase, type Transaction } from '../../shared/storage/database.ts';
import { createInbox, type InboxOptions, type JobDelivery } from '../../subscriber/index.ts';
import type { Channel } from '../support/channel.ts';
import { startDoomed } from '../support/doomed-process.ts';
import { createGate } from '../support/gate.ts';
import { type GatedDatabase, gateDatabase } from '../support/gated-database.ts';
import { EMBEDDED } from '../support/pubsub-target.ts';
import { type Stage, startStage } from '../support/stage.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

/** Workers with an inbox, over a real emulator. */
let stage: Stage;
let db: TestDatabase;
let database: GatedDatabase;
let channel: Channel;
beforeAll(async () => {
  stage = await startStage(EMBEDDED);
});
beforeEach(async () => {
  db = await createTestDatabase();
  onTestFinished(() => db.close());
  database = gateDatabase(db.database);
  await database.query('CREATE TABLE effect (job_id text)');
  channel = await stage.newChannel({ ackDeadlineMs: 10_000 });
});
afterAll(() => stage.close());

type Handle = (delivery: JobDelivery<{ text: string }>, signal: AbortSignal) => Promise<Outcome>;

const newInbox = (options?: Partial<InboxOptions>) =>
  createInbox({ database, consumer: channel.subscription, claimMs: 1_000, ...options });
const work = (handle: Handle, options = {}) =>
  channel.work((worker) => worker.handle(channel.job(), handle), { inbox: newInbox(), ...options });
const publish = (jobId: string) => channel.publisher.publish(channel.job(), { text: jobId }, { jobId });
const effect = (jobId: string) => async (tx: Transaction) => {
  await tx.query('INSERT INTO effect VALUES ($1)', [jobId]);
};
const effects = async () =>
  (await database.query<{ job_id: string }>('SELECT job_id FROM effect')).rows.map(({ job_id }) => job_id);
const inboxRows = async () =>
  (await database.query('SELECT job_id, state, attempt, lost FROM throughline.inbox ORDER BY job_id')).rows;
const duplicates = (state: string) => stage.counter('throughline.inbox.duplicates', { state });

test('a handler that fails after its effects has had none, and its next attempt has them once', async () => {
  await work(async ({ jobId, attempt }) =>
    done(async (tx) => {
      await effect(jobId)(tx);
      if (attempt < 3) throw new Error(`attempt ${attempt} failed`);
    }),
  );
  await publish('a');
  await channel.settled.final(1);
  expect(channel.settled.entries.map(({ attempt, outcome }) => [attempt, outcome])).toEqual([
    [1, 'retry'],
    [2, 'retry'],
    [3, 'done'],
  ]);
  expect(await effects()).toEqual(['a']);
  expect(await inboxRows()).toEqual([{ job_id: 'a', state: 'done', attempt: 3, lost: 0 }]);
});

test('two deliveries at once, at two workers, run once: the other is acked when the first is done', async () => {
  const started = createGate();
  const mayEnd = createGate();
  let running = 0;
  const handle: Handle = async ({ jobId }) => {
    running += 1;
    started.open();
    await mayEnd.opened;
    return done(effect(jobId));
  };
  await Promise.all([work(handle), work(handle)]);
  await Promise.all([publish('a'), publish('a')]);
  await started.opened;
  await channel.settled.all(1); // refused, because the other runs, and handed back
  const before = await duplicates('done');
  mayEnd.open();
  await channel.settled.final(2);
  expect(running).toBe(1);
  expect(await effects()).toEqual(['a']);
  expect(await inboxRows()).toEqual([{ job_id: 'a', state: 'done', attempt: 1, lost: 0 }]);
  expect(await duplicates('done')).toBe(before + 1);
});

test('a finished job that comes again is acked and not run, and leaves no second span', async () => {
  let runs = 0;
  await work(async ({ jobId }) => {
    runs += 1;
    return done(effect(jobId));
  });
  for (let delivered = 1; delivered <= 3; delivered++) {
    await publish('a');
    await channel.settled.final(delivered);
  }
  expect(runs).toBe(1);
  expect(await effects()).toEqual(['a']);
  expect(await channel.pullNow()).toBe(0);
});

test('a job with a tombstone is acked and never run', async () => {
  await database.query(`INSERT INTO throughline.inbox (consumer, job_id, job_type, state, reason, finished_at)
    VALUES ('*', 'a', 'note.keep.v1', 'cancelled', 'the order was cancelled', now())`);
  await work(async ({ jobId }) => done(effect(jobId)));
  await publish('a');
  await publish('b');
  const settled = await channel.settled.final(2);
  expect(Object.fromEntries(settled.map(({ jobId, outcome }) => [jobId, outcome]))).toEqual({
    a: 'cancelled',
    b: 'done',
  });
  expect(await effects()).toEqual(['b']);
});

test('a handler that cancels its job has cancelled it for good', async () => {
  let runs = 0;
  await work(async () => {
    runs += 1;
    return cancelled('operator');
  });
  await publish('a');
  await channel.settled.final(1);
  await publish('a');
  await channel.settled.final(2);
  expect(runs).toBe(1);
  expect(channel.settled.entries.map(({ outcome }) => outcome)).toEqual(['cancelled', 'cancelled']);
});

test('a cancellation that could not be recorded lets go of its claim, so that the job is not held for ever', async () => {
  const lost = database.loseAnswer((text) => text.startsWith('throughline-inbox-finish'));
  await work(async () => cancelled('operator'));
  await publish('a');
  await lost; // and so the transaction is rolled back
  await channel.settled.all(1);
  expect(channel.settled.entries).toMatchObject([{ outcome: 'retry' }]);
  await publish('a');
  expect(await channel.settled.final(1)).toMatchObject([{ outcome: 'cancelled' }]);
});

test('a job that is given up is dead for good, and its hook’s effects commit with that', async () => {
  let runs = 0;
  await channel.work(
    (worker) =>
      worker.handle(
        channel.job({ retry: { maxAttempts: 2, minBackoffMs: 10, maxBackoffMs: 20 } }),
        async () => {
          runs += 1;
          return retry('not yet');
        },
        { onDeadLetter: async ({ jobId }, _reason, tx) => void (tx && (await effect(`undo ${jobId}`)(tx))) },
      ),
    { inbox: newInbox() },
  );
  await publish('a');
  await channel.settled.final(1);
  await publish('a');
  await channel.settled.final(2);
  expect(runs).toBe(2);
  expect(await effects()).toEqual(['undo a']);
  expect(await inboxRows()).toEqual([{ job_id: 'a', state: 'dead', attempt: 2, lost: 0 }]);
  const [letter] = await channel.deadLetters(1);
  expect(letter?.attributes['ce-id']).toBe('a');
  expect(await channel.pullNow('dead-letters')).toBe(0);
});

test('a hook that fails leaves the job alive: it is tried again, and dies once', async () => {
  let hooks = 0;
  await channel.work(
    (worker) =>
      worker.handle(channel.job(), async () => deadLetter('no use'), {
        onDeadLetter: async ({ jobId }, _reason, tx) => {
          hooks += 1;
          if (tx) await effect(`undo ${jobId}`)(tx);
          if (hooks === 1) throw new Error('not now');
        },
      }),
    { inbox: newInbox() },
  );
  await publish('a');
  await channel.settled.final(1);
  expect(hooks).toBe(2);
  expect(await effects()).toEqual(['undo a']);
});

test('a run that is cut short by a stop is no attempt', async () => {
  const started = createGate();
  const first = await work(
    (_, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason));
        started.open();
      }),
    { drainTimeoutMs: 0 },
  );
  await publish('a');
  await started.opened;
  expect(await first.stop()).toEqual({ handedBack: 1 });
  expect(await inboxRows()).toEqual([{ job_id: 'a', state: 'waiting', attempt: 0, lost: 0 }]);
  const attempts: number[] = [];
  await work(async ({ attempt }) => {
    attempts.push(attempt);
    return done();
  });
  await channel.settled.final(1);
  expect(attempts).toEqual([1]);
});

test('a delivery that comes while the database is away is handed back, and its handler is not run', async () => {
  const away = openDatabase({
    connectionString: 'postgresql://nobody@127.0.0.1:1/none',
    reconnectWithinMs: 0,
  });
  onTestFinished(() => away.close());
  let runs = 0;
  await work(
    async () => {
      runs += 1;
      return done();
    },
    { inbox: newInbox({ database: away }) },
  );
  await publish('a');
  await channel.settled.all(1);
  expect(channel.settled.entries).toMatchObject([{ outcome: 'retry' }]);
  expect(runs).toBe(0);
  expect(await channel.pullNow('dead-letters')).toBe(0);
});

test('a job whose worker dies with it again and again is given up', async () => {
  await database.query(
    `INSERT INTO throughline.inbox (consumer, job_id, job_type, state, attempt, lost, claimed_by, claim_until)
     VALUES ($1, 'a', 'note.keep.v1', 'claimed', 1, 4, gen_random_uuid(), now() - interval '1 s')`,
    [channel.subscription],
  );
  await work(async ({ jobId }) => done(effect(jobId)));
  await publish('a');
  await channel.settled.final(1);
  expect(await effects()).toEqual([]);
  expect(await inboxRows()).toMatchObject([{ state: 'dead', lost: 5 }]);
  const [letter] = await channel.deadLetters(1);
  expect(Object.values(letter?.attributes ?? {}).join()).toContain('the worker died 5 times');
});

test.each(['handler', 'effect'])(
  'a worker that is killed (%s) loses nothing: another takes over the same attempt, and the effect happens once',
  async (point) => {
    const doomed = await startDoomed(
      ['test/inbox/worker-main.ts', channel.topic, point],
      {
        DATABASE_URL: db.url,
        PUBSUB_EMULATOR_HOST: stage.host,
        GOOGLE_CLOUD_PROJECT: stage.connection.projectId,
      },
      () => publish('a'),
    );
    await doomed.kill();
    expect(await effects()).toEqual([]);
    await work(async ({ jobId }) => done(effect(jobId)));
    expect(await channel.settled.final(1)).toMatchObject([{ jobId: 'a', outcome: 'done' }]);
    expect(await effects()).toEqual(['a']);
    expect(await inboxRows()).toEqual([{ job_id: 'a', state: 'done', attempt: 1, lost: 1 }]);
  },
);
