import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { done, type Outcome } from '../../shared/index.ts';
import { openDatabase } from '../../shared/storage/database.ts';
import {
  addFence,
  createWorker,
  FencedError,
  type Fences,
  type FencesOptions,
  FencesUnknownError,
  type Worker,
} from '../../subscriber/index.ts';
import { createMemorySink } from '../fakes/memory-sink.ts';
import { createMemorySource } from '../fakes/memory-source.ts';
import type { Channel } from '../support/channel.ts';
import {
  ADA,
  type AnyDelivery,
  changed,
  deafFences,
  fencedBy,
  fenceOff,
  lift,
} from '../support/fence-lab.ts';
import { createGate } from '../support/gate.ts';
import { type GatedDatabase, gateDatabase } from '../support/gated-database.ts';
import { PATIENCE_MS } from '../support/patience.ts';
import { EMBEDDED } from '../support/pubsub-target.ts';
import { type Stage, startStage } from '../support/stage.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

/** Fences that pause, how soon they are seen, and what happens while they cannot be read. */
let stage: Stage;
let db: TestDatabase;
let database: GatedDatabase;
let channel: Channel;
let ran: string[];
beforeAll(async () => {
  stage = await startStage(EMBEDDED);
});
beforeEach(async () => {
  db = await createTestDatabase();
  onTestFinished(() => db.close());
  database = gateDatabase(db.database);
  channel = await stage.newChannel({ ackDeadlineMs: 10_000 });
  ran = [];
});
afterAll(() => stage.close());

type Handle = (delivery: AnyDelivery, signal: AbortSignal) => Promise<Outcome>;
const noted: Handle = async ({ jobId, attempt }) => {
  ran.push(`${jobId}/${attempt}`);
  return done();
};
const KEEP = { job: 'note.keep' };

function work(handle: Handle = noted, fenced = fencedBy(channel, database), on = channel): Promise<Worker> {
  return on.work((worker) => worker.handle(on.job(), handle), fenced);
}

const publish = (jobId: string, options = {}) =>
  channel.publisher.publish(channel.job(), { text: jobId }, { jobId, ...options });
const rows = async () =>
  (await database.query('SELECT job_id, state, attempt FROM throughline.inbox ORDER BY job_id')).rows;
const stops = (action: string) => stage.counter('throughline.fence.stopped', { action });

describe('a fence that pauses', () => {
  test('keeps a job, counts no attempt and leaves no span; when it is lifted the job runs at once, and once', async () => {
    const fence = await fenceOff(database, 'pause', KEEP);
    await work();
    await publish('a');
    await channel.settled.all(1);
    expect(channel.settled.entries).toMatchObject([{ outcome: 'retry' }]);
    expect(await rows()).toEqual([{ job_id: 'a', state: 'waiting', attempt: 0 }]);
    expect((await channel.spans()).filter(({ name }) => name.startsWith('process '))).toEqual([]);
    await lift(database, fence);
    await channel.settled.final(1);
    expect(ran).toEqual(['a/1']);
    expect(channel.settled.entries).toHaveLength(2);
    expect(await channel.pullNow()).toBe(0);
  });

  test('keeps jobs in order, and lets them go in order', async () => {
    const ordered = await stage.newChannel({ ackDeadlineMs: 10_000, ordered: true });
    const job = ordered.job({ orderingKey: () => 'key' });
    const fence = await fenceOff(database, 'pause', { orderKey: 'O-1' });
    const before = await stops('pause');
    await ordered.work((worker) => worker.handle(job, noted), fencedBy(ordered, database));
    for (const jobId of ['a', 'b', 'c'])
      await ordered.publisher.publish(job, { text: jobId }, { jobId, orderKey: 'O-1' });
    await ordered.arrived.reached(3);
    await vi.waitFor(async () => expect(await stops('pause')).toBe(before + 1), { timeout: PATIENCE_MS });
    await lift(database, fence);
    await ordered.settled.final(3);
    expect(ran).toEqual(['a/1', 'b/1', 'c/1']);
  });

  test('lets what runs go on to its next effect, and no further', async () => {
    const started = createGate();
    const mayGoOn = createGate();
    const effects: string[] = [];
    const refusals: unknown[] = [];
    const fenced = fencedBy(channel, database);
    await work(async ({ attempt, checkFence }, signal) => {
      started.open();
      await mayGoOn.opened;
      try {
        checkFence();
      } catch (error) {
        refusals.push(error, signal.aborted);
        throw error;
      }
      effects.push(`effect of attempt ${attempt}`);
      return done();
    }, fenced);
    await publish('a');
    await started.opened;
    const fence = await fenceOff(database, 'pause', KEEP, fenced.fences);
    mayGoOn.open();
    await channel.settled.all(1);
    expect(refusals).toEqual([expect.any(FencedError), false]);
    expect(await rows()).toEqual([{ job_id: 'a', state: 'waiting', attempt: 0 }]);
    await lift(database, fence);
    await channel.settled.final(1);
    expect(effects).toEqual(['effect of attempt 1']);
  });

  test('does not use up the last attempt', async () => {
    const job = channel.job({ retry: { maxAttempts: 1 } });
    const started = createGate();
    const mayGoOn = createGate();
    const fenced = fencedBy(channel, database);
    await channel.work(
      (worker) =>
        worker.handle(job, async ({ checkFence }) => {
          started.open();
          await mayGoOn.opened;
          checkFence();
          return done();
        }),
      fenced,
    );
    await channel.publisher.publish(job, { text: 'a' }, { jobId: 'a' });
    await started.opened;
    const fence = await fenceOff(database, 'pause', KEEP, fenced.fences);
    mayGoOn.open();
    await channel.settled.all(1);
    await lift(database, fence);
    expect(await channel.settled.final(1)).toMatchObject([{ outcome: 'done' }]);
  });

  test('gives way to one that cancels: what waits is cancelled at once', async () => {
    await fenceOff(database, 'pause', KEEP);
    await work();
    await publish('a', { orderKey: 'O-1' });
    await channel.settled.all(1);
    await fenceOff(database, 'cancel', { orderKey: 'O-1' });
    expect(await channel.settled.final(1)).toMatchObject([{ outcome: 'cancelled' }]);
    expect(ran).toEqual([]);
  });

  test('of a worker that stops passes what waits on to the others', async () => {
    const fence = await fenceOff(database, 'pause', KEEP);
    const first = await work();
    await publish('a');
    await channel.settled.all(1);
    await work();
    await first.stop();
    await channel.settled.all(2); // the other one has it
    await lift(database, fence);
    await channel.settled.final(1);
    expect(ran).toEqual(['a/1']);
  });

  test('comes back by itself, and no sooner than its bound', async () => {
    await fenceOff(database, 'pause', KEEP);
    await work(noted, fencedBy(channel, database, deafFences(database, { pausedRetryMs: 1_000 })));
    const startedMs = performance.now();
    await publish('a');
    await channel.settled.all(2);
    expect(performance.now() - startedMs).toBeGreaterThan(800);
    expect(ran).toEqual([]);
  });

  test('outlives the deliveries that Pub/Sub allows: the message is renewed before they are used up', async () => {
    const short = await stage.newChannel({ ackDeadlineMs: 10_000, maxDeliveryAttempts: 6 });
    const fence = await fenceOff(database, 'pause', KEEP);
    const fences = deafFences(database, { pausedRetryMs: 1_000 });
    await work(noted, fencedBy(short, database, fences), short);
    await short.publisher.publish(short.job(), { text: 'a' }, { jobId: 'a' });
    await short.settled.all(3); // two deliveries of the first message, one of its copy
    const [first, ...more] = short.settled.entries.map(({ messageId }) => messageId);
    // The copy may be back before the second delivery is acked.
    expect(more.filter((id) => id === first)).toHaveLength(1);
    await lift(database, fence);
    await short.settled.final(1);
    expect(ran).toEqual(['a/1']);
    expect(await short.pullNow()).toBe(0);
    expect(await short.pullNow('dead-letters')).toBe(0);
  });

  test('keeps the outbox from sending the job again and again', async () => {
    await database.query(`INSERT INTO throughline.outbox (job_id, job_type, topic, data, attributes, carrier, sent_at)
      VALUES ('a', 'note.keep.v1', 'notes', '{}', '{}', '{}', now() - interval '1 hour')`);
    await fenceOff(database, 'pause', KEEP);
    await work();
    await publish('a');
    await channel.settled.all(1);
    const { rows: sent } = await database.query(
      `SELECT sent_at > now() - interval '1 minute' AS is_fresh FROM throughline.outbox`,
    );
    expect(sent).toEqual([{ is_fresh: true }]);
  });

  test('is counted, from 0', async () => {
    const job = channel.job({ name: 'note.counted' });
    const counted = (action: string) =>
      stage.counter('throughline.fence.stopped', { action, 'throughline.job.name': 'note.counted' });
    await fenceOff(database, 'pause', { job: 'note.counted' });
    await channel.work((worker) => worker.handle(job, noted), fencedBy(channel, database));
    expect([await counted('pause'), await counted('cancel'), await counted('unknown')]).toEqual([0, 0, 0]);
    await channel.publisher.publish(job, { text: 'a' }, { jobId: 'a' });
    await channel.settled.all(1);
    expect([await counted('pause'), await counted('cancel')]).toEqual([1, 0]);
  });
});

describe('a fence is seen', () => {
  const started = async (options: Partial<FencesOptions> = {}): Promise<Fences> => {
    const fences = deafFences(database, options);
    onTestFinished(() => fences.stop());
    await fences.start();
    return fences;
  };
  const facts = { job: 'note.keep', campaign: undefined, orderKey: undefined };

  test('by two workers, by notification alone', async () => {
    const both = [await started(), await started()];
    const seen = Promise.all(both.map(changed));
    const { fence } = await addFence(database, { action: 'pause', target: KEEP, ...ADA });
    await seen;
    expect(both.map((fences) => fences.find(facts)?.id)).toEqual([fence.id, fence.id]);
    await lift(database, fence, ...both);
    expect(both.map((fences) => fences.find(facts))).toEqual([undefined, undefined]);
  });

  test('by polling when its notification is lost', async () => {
    const fences = await started({
      database: { ...database, listen: async () => async () => {} },
      pollMs: 200,
    });
    const seen = changed(fences);
    await addFence({ ...database, notify: () => {} }, { action: 'pause', target: KEEP, ...ADA });
    await seen;
    expect(fences.find(facts)).toBeDefined();
  });

  test('although it comes while the fences are being read', async () => {
    let noticed = createGate();
    const listen: GatedDatabase['listen'] = (name, onNotice) =>
      database.listen(name, () => {
        onNotice();
        noticed.open();
      });
    const fences = await started({ database: { ...database, listen } });
    const reading = database.hold((text) => text.startsWith('throughline-fences-standing'), 'answer');
    const first = await addFence(database, { action: 'pause', target: { orderKey: 'O-0' }, ...ADA });
    await reading.reached;
    noticed = createGate();
    const { fence } = await addFence(database, { action: 'pause', target: KEEP, ...ADA });
    await noticed.opened;
    reading.letGo();
    await vi.waitFor(() => expect(fences.find(facts)?.id).toBe(fence.id), { timeout: PATIENCE_MS });
    expect(first.fence.id).not.toBe(fence.id);
  });
});

describe('a worker that cannot read the fences', () => {
  const BRIEF = { pollMs: 50, trustMs: 400 };
  const standing = (text: string) => text.startsWith('throughline-fences-standing');

  test('runs nothing, also what no fence stops; once they can be read it goes on', async () => {
    const before = await stops('unknown');
    const held = database.hold(standing);
    await work(noted, fencedBy(channel, database, deafFences(database, BRIEF)));
    await publish('a');
    await channel.settled.all(1);
    expect(channel.settled.entries).toMatchObject([{ outcome: 'retry' }]);
    expect(ran).toEqual([]);
    expect(await rows()).toEqual([{ job_id: 'a', state: 'waiting', attempt: 0 }]);
    expect(await stops('unknown')).toBeGreaterThan(before);
    held.letGo();
    await channel.settled.final(1);
    expect(ran).toEqual(['a/1']);
  });

  test('lets no effect through once it has not read them for too long, and counts no attempt', async () => {
    const started = createGate();
    const refusals: unknown[] = [];
    const fences = deafFences(database, BRIEF);
    await work(
      async ({ jobId, attempt, checkFence }) => {
        ran.push(`${jobId}/${attempt}`);
        if (ran.length > 1) return done();
        checkFence(); // they were read at the start
        started.open();
        await vi.waitFor(() => expect(checkFence).toThrow(FencesUnknownError), { timeout: PATIENCE_MS });
        refusals.push('unknown');
        checkFence();
        return done();
      },
      fencedBy(channel, database, fences),
    );
    await publish('a');
    await started.opened;
    const held = database.hold(standing);
    await channel.settled.all(1);
    expect(refusals).toEqual(['unknown']);
    expect(channel.settled.entries).toMatchObject([{ outcome: 'retry' }]);
    held.letGo();
    await channel.settled.final(1);
    expect(ran).toEqual(['a/1', 'a/1']);
  });

  test('starts all the same when the database is away, and sees fences that were added meanwhile', async () => {
    const held = database.hold(standing);
    const fences = deafFences(database, BRIEF);
    await work(noted, fencedBy(channel, database, fences));
    const seen = changed(fences);
    await addFence(database, { action: 'cancel', target: KEEP, ...ADA });
    await publish('a');
    await channel.settled.all(1);
    held.letGo();
    await seen;
    expect(await channel.settled.final(1)).toMatchObject([{ outcome: 'cancelled' }]);
    expect(ran).toEqual([]);
  });
});

test('fences whose database is away can be started and stopped, and stop everything meanwhile', async () => {
  const away = openDatabase({
    connectionString: 'postgresql://nobody@127.0.0.1:1/none',
    reconnectWithinMs: 0,
  });
  onTestFinished(() => away.close());
  const fences = deafFences(away, { pollMs: 50, trustMs: 400 });
  await fences.start();
  const find = () => fences.find({ job: 'note.keep', campaign: undefined, orderKey: undefined });
  expect(find).toThrow(FencesUnknownError);
  await fences.stop();
  await fences.stop();
});

test('fences without an inbox are refused: nothing would keep a cancelled job so', () => {
  const create = () =>
    createWorker({
      ...{ source: createMemorySource(), sink: createMemorySink(), topic: 't', deadLetterTopic: 'd' },
      fences: deafFences(database),
    });
  expect(create).toThrow('fences: expected an inbox');
});

test('options that make no sense are refused at once', () => {
  expect(() => deafFences(database, { pollMs: 1_000, trustMs: 1_000 })).toThrow('trustMs');
  expect(() => deafFences(database, { pausedRetryMs: 600_001 })).toThrow('pausedRetryMs');
});
