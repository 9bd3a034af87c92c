import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { createOutbox, createRelay } from '../../publisher/index.ts';
import { CAMPAIGN_ATTRIBUTE, done, type Outcome, retry } from '../../shared/index.ts';
import { sweepFinished } from '../../subscriber/inbox-rows.ts';
import { FencedError, fromDeadLetter, type Worker } from '../../subscriber/index.ts';
import type { Channel } from '../support/channel.ts';
import { type AnyDelivery, fencedBy, fenceOff, lift } from '../support/fence-lab.ts';
import { createGate } from '../support/gate.ts';
import { type GatedDatabase, gateDatabase } from '../support/gated-database.ts';
import { EMBEDDED } from '../support/pubsub-target.ts';
import { type Stage, startStage } from '../support/stage.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

/** Fences that cancel, over a real emulator and database. */
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

const keep = () => channel.job();
const drop = () => channel.job({ name: 'note.drop' });
type Handle = (delivery: AnyDelivery, signal: AbortSignal) => Promise<Outcome>;
const noted: Handle = async ({ jobId }) => {
  ran.push(jobId);
  return done();
};

function work(handle: Handle = noted, fenced = fencedBy(channel, database)): Promise<Worker> {
  const register = (worker: Worker) => {
    worker.handle(keep(), handle);
    worker.handle(drop(), handle);
  };
  return channel.work(register, fenced);
}

const publish = (jobId: string, options = {}, job = keep()) =>
  channel.publisher.publish(job, { text: jobId }, { jobId, ...options });
const outcomes = () =>
  Object.fromEntries(channel.settled.entries.map(({ jobId, outcome }) => [jobId, outcome]));
const inboxRow = async (jobId: string) => {
  const { rows } = await database.query(
    'SELECT state, attempt, cancelled_by, reason, fence_id FROM throughline.inbox WHERE job_id = $1',
    [jobId],
  );
  return rows[0];
};

describe('a fence that cancels', () => {
  test('stops the jobs of a name, whatever their version, and no others', async () => {
    const fence = await fenceOff(database, 'cancel', { job: 'note.drop' });
    await work();
    await publish('dropped', {}, drop());
    await publish('kept');
    await channel.settled.final(2);
    expect(outcomes()).toEqual({ dropped: 'cancelled', kept: 'done' });
    expect(ran).toEqual(['kept']);
    expect(await inboxRow('dropped')).toMatchObject({
      state: 'cancelled',
      cancelled_by: 'ada',
      reason: 'ticket 4711',
      fence_id: fence.id,
    });
  });

  test('stops the jobs of an order, and no others', async () => {
    await fenceOff(database, 'cancel', { orderKey: 'O-1' });
    await work();
    await publish('first', { orderKey: 'O-1' });
    await publish('other', { orderKey: 'O-11' });
    await publish('none');
    await channel.settled.final(3);
    expect(outcomes()).toEqual({ first: 'cancelled', other: 'done', none: 'done' });
  });

  test('stops the jobs of a campaign, and with a job name only those of both', async () => {
    await fenceOff(database, 'cancel', { campaign: 'autumn', job: 'note.keep' });
    await work();
    const autumn = { attributes: { [CAMPAIGN_ATTRIBUTE]: 'autumn' } };
    await publish('both', autumn);
    await publish('other-job', autumn, drop());
    await publish('other-campaign', { attributes: { [CAMPAIGN_ATTRIBUTE]: 'spring' } });
    await publish('none');
    await channel.settled.final(4);
    expect(outcomes()).toEqual({
      both: 'cancelled',
      'other-job': 'done',
      'other-campaign': 'done',
      none: 'done',
    });
  });

  test('aborts a job that runs, and records it as cancelled', async () => {
    const started = createGate();
    let abortedBy: unknown;
    await work(
      (_, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            abortedBy = signal.reason;
            reject(new Error('the call was cut off')); // as a library does that forgets the cause
          });
          started.open();
        }),
    );
    await publish('a');
    await started.opened;
    const fence = await fenceOff(database, 'cancel', { job: 'note.keep' });
    expect(await channel.settled.final(1)).toMatchObject([{ outcome: 'cancelled', attempt: 1 }]);
    expect(abortedBy).toBeInstanceOf(FencedError);
    expect(await inboxRow('a')).toMatchObject({ state: 'cancelled', fence_id: fence.id });
    expect(await channel.pullNow('dead-letters')).toBe(0);
  });

  test('aborts what runs at two workers, by notification alone', async () => {
    const running = new Map(['a', 'b'].map((jobId) => [jobId, createGate()]));
    const aborted: unknown[] = [];
    const handle: Handle = ({ jobId }, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          aborted.push(jobId);
          reject(signal.reason);
        });
        running.get(jobId)?.open();
      });
    const other = await stage.newChannel({ ackDeadlineMs: 10_000 });
    await work(handle);
    await other.work((worker) => worker.handle(other.job(), handle), fencedBy(other, database));
    await publish('a');
    await other.publisher.publish(other.job(), { text: 'b' }, { jobId: 'b' });
    await Promise.all([...running.values()].map(({ opened }) => opened));
    await fenceOff(database, 'cancel', { job: 'note.keep' });
    const settled = await Promise.all([channel.settled.final(1), other.settled.final(1)]);
    expect(settled.flat()).toMatchObject([{ outcome: 'cancelled' }, { outcome: 'cancelled' }]);
    expect(aborted.toSorted()).toEqual(['a', 'b']);
  });

  test('lets no effect through that comes after it, also of a handler that heeds no signal and takes any error', async () => {
    const started = createGate();
    const mayGoOn = createGate();
    const effects: string[] = [];
    const fenced = fencedBy(channel, database);
    await work(async ({ checkFence }) => {
      checkFence();
      effects.push('before');
      started.open();
      await mayGoOn.opened;
      try {
        checkFence();
        effects.push('after');
      } catch {
        return retry('something was wrong');
      }
      return done();
    }, fenced);
    await publish('a');
    await started.opened;
    await fenceOff(database, 'cancel', { job: 'note.keep' }, fenced.fences);
    mayGoOn.open();
    await channel.settled.final(1);
    expect(effects).toEqual(['before']);
    expect(outcomes()).toEqual({ a: 'cancelled' });
  });

  test('leaves a job done that finishes all the same: its effect has happened', async () => {
    const started = createGate();
    const mayEnd = createGate();
    const fenced = fencedBy(channel, database);
    await work(async () => {
      started.open();
      await mayEnd.opened;
      return done();
    }, fenced);
    await publish('a');
    await started.opened;
    await fenceOff(database, 'cancel', { job: 'note.keep' }, fenced.fences);
    mayEnd.open();
    await channel.settled.final(1);
    expect(channel.settled.entries).toMatchObject([{ outcome: 'done' }]);
    expect(await inboxRow('a')).toMatchObject({ state: 'done', cancelled_by: null, fence_id: null });
  });

  test('F6: cancels what it has struck, though it is lifted while the job is in flight', async () => {
    const started = createGate();
    const mayEnd = createGate();
    const fenced = fencedBy(channel, database);
    await work(async ({ checkFence }) => {
      started.open();
      await mayEnd.opened;
      checkFence();
      ran.push('effect');
      return done();
    }, fenced);
    await publish('a');
    await started.opened;
    const fence = await fenceOff(database, 'cancel', { job: 'note.keep' }, fenced.fences);
    await lift(database, fence, fenced.fences);
    mayEnd.open();
    expect(await channel.settled.final(1)).toMatchObject([{ outcome: 'cancelled' }]);
    expect(ran).toEqual([]);
    expect(await inboxRow('a')).toMatchObject({ state: 'cancelled' });
  });

  test('stops the retry of a job that has failed before', async () => {
    const failed = createGate();
    const fenced = fencedBy(channel, database);
    await work(async ({ attempt }) => {
      ran.push(`attempt ${attempt}`);
      failed.open();
      return retry('not yet', { afterMs: 300 });
    }, fenced);
    await publish('a');
    await failed.opened;
    await channel.settled.all(1);
    await fenceOff(database, 'cancel', { job: 'note.keep' }, fenced.fences);
    await channel.settled.final(1);
    expect(ran).toEqual(['attempt 1']);
    expect(await inboxRow('a')).toMatchObject({ state: 'cancelled', attempt: 2 });
  });

  test('tells the process span who, why and by which fence, and links it to the operator', async () => {
    const fence = await fenceOff(database, 'cancel', { orderKey: 'O-span' });
    await work();
    await publish('a', { orderKey: 'O-span' });
    await channel.settled.final(1);
    const span = (await channel.spans()).find(({ name }) => name.startsWith('process '));
    expect(span?.attributes).toMatchObject({
      'throughline.job.outcome': 'cancelled',
      'throughline.job.outcome.reason': 'ada: ticket 4711',
      'throughline.fence.id': fence.id,
      'throughline.fence.action': 'cancel',
      'throughline.fence.target': 'order=O-span',
      'throughline.fence.actor': 'ada',
      'throughline.fence.reason': 'ticket 4711',
    });
    expect(span?.status).not.toBe('error');
    const operator = stage.collector.spans.find(
      ({ name, attributes }) => name === 'operate fence.add' && attributes['order.event_id'] === 'O-span',
    );
    const causes = span?.links.filter(
      ({ attributes }) => attributes['throughline.link.reason'] === 'caused-by',
    );
    expect(causes?.map(({ spanId }) => spanId)).toEqual([operator?.spanId]);
  });
});

describe('a cancelled job', () => {
  beforeEach(async () => {
    const fence = await fenceOff(database, 'cancel', { job: 'note.keep' });
    const first = await work();
    await publish('a');
    await channel.settled.final(1);
    await first.stop();
    await lift(database, fence);
    await work();
  });

  /** That the worker runs again at all. */
  const isAlive = async (count: number) => {
    await publish('alive');
    await channel.settled.final(count);
    expect(ran).toEqual(['alive']);
  };

  test('is not revived by another message with its id, after the fence is lifted', async () => {
    await publish('a');
    await channel.settled.final(2);
    expect(channel.settled.entries.map(({ outcome }) => outcome)).toEqual(['cancelled', 'cancelled']);
    await isAlive(3);
  });

  test('is not revived by a redrive', async () => {
    const source = { data: Buffer.from('{"text":"a"}'), orderingKey: undefined };
    const attributes = {
      ...{ 'ce-id': 'a', 'ce-type': 'note.keep.v1', 'ce-specversion': '1.0' },
      googclient_deliveryattempt: '7',
    };
    await channel.sink.publish(channel.topic, [fromDeadLetter({ ...source, attributes })]);
    await channel.settled.final(2);
    await isAlive(3);
  });

  test('is not revived by being enqueued again, and leaves the outbox', async () => {
    const outbox = createOutbox({ database: db.database, source: 'shop' });
    const relay = createRelay({ database: db.database, sink: channel.sink });
    onTestFinished(() => relay.stop());
    await db.database.transaction((tx) => outbox.enqueue(tx, keep(), { text: 'a' }, { jobId: 'a' }));
    await relay.start();
    await channel.settled.final(2);
    expect((await database.query('SELECT FROM throughline.outbox')).rows).toEqual([]);
    await isAlive(3);
  });

  test('is not revived once other records have aged out', async () => {
    await database.query(`UPDATE throughline.inbox SET finished_at = now() - interval '90 days'`);
    await sweepFinished(database, channel.subscription, 1_000);
    await publish('a');
    await channel.settled.final(2);
    await isAlive(3);
  });
});

test('a cancellation that could not be recorded is not acked: the job comes again, and is cancelled then', async () => {
  await fenceOff(database, 'cancel', { job: 'note.keep' });
  const lost = database.loseStatement((text) => text.startsWith('throughline-inbox-finish'));
  await work();
  await publish('a');
  await lost;
  await channel.settled.all(1);
  expect(outcomes()).toEqual({ a: 'retry' });
  await publish('a');
  await channel.settled.final(1);
  expect(ran).toEqual([]);
  expect(await inboxRow('a')).toMatchObject({ state: 'cancelled' });
});
