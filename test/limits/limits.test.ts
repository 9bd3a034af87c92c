import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { deadLetter, done, OptionsError, type Outcome, retry } from '../../shared/index.ts';
import { openDatabase } from '../../shared/storage/database.ts';
import {
  changeLimit,
  createFences,
  createInbox,
  createLimits,
  createWorker,
  type JobLimit,
  type LimitsOptions,
  type WorkerOptions,
} from '../../subscriber/index.ts';
import { createMemorySink } from '../fakes/memory-sink.ts';
import { createMemorySource } from '../fakes/memory-source.ts';
import type { Channel } from '../support/channel.ts';
import { startDoomed } from '../support/doomed-process.ts';
import { type AnyDelivery, fenceOff } from '../support/fence-lab.ts';
import { createGate, type Gate } from '../support/gate.ts';
import { EMBEDDED } from '../support/pubsub-target.ts';
import { createSignals } from '../support/signals.ts';
import { type Stage, startStage } from '../support/stage.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

/** How many jobs run at once, in workers of their own inboxes and connections, as if each were a process. */
let stage: Stage;
let db: TestDatabase;
let channel: Channel;
beforeAll(async () => {
  stage = await startStage(EMBEDDED);
});
beforeEach(async () => {
  db = await createTestDatabase();
  onTestFinished(() => db.close());
  channel = await stage.newChannel({ ackDeadlineMs: 10_000 });
});
afterAll(() => stage.close());

type Note = { text: string };
type Handle = (delivery: AnyDelivery, signal: AbortSignal) => Promise<Outcome>;
/** So long that nothing but a notification brings a job back. */
const NEVER_MS = 600_000;
const ADA = { actor: 'ada', reason: 'ticket 4711' };

interface WorkOptions extends Partial<WorkerOptions> {
  readonly limitsOptions?: Partial<LimitsOptions>;
  readonly on?: Channel;
}

async function work(
  limits: readonly JobLimit<Note>[],
  handle: Handle,
  { limitsOptions = {}, on = channel, ...more }: WorkOptions = {},
) {
  const database = openDatabase({ connectionString: db.url, maxConnections: 6 });
  const worker = await on.work((one) => one.handle(on.job(), handle, { limits }), {
    inbox: createInbox({ database, consumer: on.subscription, claimMs: 5_000 }),
    drainTimeoutMs: 100, // handlers may still be held when a test ends
    limits: createLimits({ database, pollMs: NEVER_MS, retryMs: NEVER_MS, ...limitsOptions }),
    ...more,
  });
  onTestFinished(async () => {
    await worker.stop();
    await database.close();
  });
  return worker;
}

const publish = (jobIds: readonly string[], orderKey?: string) =>
  Promise.all(
    jobIds.map((jobId) =>
      channel.publisher.publish(channel.job(), { text: jobId }, { jobId, ...(orderKey && { orderKey }) }),
    ),
  );
const numbered = (count: number) => Array.from({ length: count }, (_, index) => `n${index}`);

/** Handlers that run until they are let go, and how many of them ran at once: in all, and of each key. */
function holding(keyOf: (delivery: AnyDelivery) => string = () => '') {
  const running = new Map<string, { readonly key: string; readonly gate: Gate }>();
  const most = new Map<string, number>();
  const starts = createSignals();
  const attempts: string[] = [];
  const handle: Handle = async (delivery) => {
    const key = keyOf(delivery);
    const gate = createGate();
    running.set(delivery.jobId, { key, gate });
    attempts.push(`${delivery.jobId}/${delivery.attempt}`);
    const ofKey = [...running.values()].filter((one) => one.key === key).length;
    most.set(key, Math.max(most.get(key) ?? 0, ofKey));
    starts.signal();
    await gate.opened;
    running.delete(delivery.jobId);
    return done();
  };
  const letGo = (jobId = [...running.keys()][0] ?? '') => running.get(jobId)?.gate.open();
  onTestFinished(() => {
    for (const jobId of running.keys()) letGo(jobId);
  });
  return {
    handle,
    attempts,
    most,
    started: starts.reached,
    running: () => [...running.keys()],
    letGo,
    /** Lets `count` jobs go one after another, each as soon as it runs. */
    async drain(count: number) {
      for (let started = starts.count - running.size + 1; started <= count; started++) {
        await starts.reached(started);
        letGo();
      }
    },
  };
}

const slots = async () => {
  const { rows } = await db.database.query<{ job_id: string }>(
    'SELECT job_id FROM throughline.limit_slot ORDER BY job_id',
  );
  return rows.map(({ job_id }) => job_id);
};

describe('a limit of jobs at once', () => {
  test('L2: holds for two workers together, and all jobs run, each at its first attempt', async () => {
    const jobs = holding();
    await work([{ name: 'two', maxRunning: 2 }], jobs.handle);
    await work([{ name: 'two', maxRunning: 2 }], jobs.handle);
    await publish(numbered(12));
    await jobs.drain(12);
    await channel.settled.final(12);
    expect(jobs.most.get('')).toBe(2);
    expect(jobs.attempts.sort()).toEqual(
      numbered(12)
        .map((id) => `${id}/1`)
        .sort(),
    );
    expect(await slots()).toEqual([]);
  });

  test('L2: of two workers one runs the jobs of a key at a time, and those of other keys do not wait', async () => {
    const jobs = holding(({ orderKey }) => orderKey ?? '');
    const perOrder: JobLimit<Note> = { name: 'order', maxRunning: 1, keyOf: ({ orderKey }) => orderKey };
    await work([perOrder], jobs.handle);
    await work([perOrder], jobs.handle);
    await publish(['a1', 'a2', 'a3'], 'A');
    await publish(['b1', 'b2'], 'B');
    await publish(['free1', 'free2']);
    await jobs.started(4);
    expect(
      jobs
        .running()
        .map((id) => id[0])
        .sort(),
    ).toEqual(['a', 'b', 'f', 'f']);
    for (let started = 4; started <= 7; started++) {
      await jobs.started(started);
      for (const id of jobs.running()) jobs.letGo(id);
    }
    await channel.settled.final(7);
    expect([jobs.most.get('A'), jobs.most.get('B')]).toEqual([1, 1]);
  });

  test('is told by a field of the payload', async () => {
    const jobs = holding(({ payload }) => payload.text);
    const byText: JobLimit<Note> = { name: 'text', maxRunning: 1, keyOf: ({ payload }) => payload.text };
    await work([byText], jobs.handle);
    const same = (jobId: string) => channel.publisher.publish(channel.job(), { text: 'same' }, { jobId });
    await Promise.all(['s1', 's2', 's3'].map(same));
    await jobs.drain(3);
    await channel.settled.final(3);
    expect(jobs.most.get('same')).toBe(1);
  });

  test('L3: a job with two limits has both slots or none', async () => {
    const jobs = holding();
    await work(
      [
        { name: 'wide', maxRunning: 2 },
        { name: 'narrow', maxRunning: 1 },
      ],
      jobs.handle,
    );
    await publish(['x', 'y']);
    await jobs.started(1);
    await channel.settled.all(1);
    expect(await slots()).toEqual([jobs.running()[0], jobs.running()[0]]);
    await jobs.drain(2);
    await channel.settled.final(2);
    expect(jobs.most.get('')).toBe(1);
  });

  test('L4: a job that waits leaves no span, and is counted', async () => {
    const jobs = holding();
    const before = await stage.counter('throughline.limit.waited');
    await work([{ name: 'one', maxRunning: 1 }], jobs.handle);
    expect(await stage.labelSets('throughline.limit.waited')).toContainEqual({
      'throughline.limit.name': 'one',
      'throughline.job.name': 'note.keep',
    });
    await publish(['x', 'y']);
    await jobs.started(1);
    await channel.settled.all(1);
    expect(await stage.counter('throughline.limit.waited')).toBe(before + 1);
    await jobs.drain(2);
    await channel.settled.final(2);
    const processed = (await channel.spans()).filter(({ name }) => name === `process ${channel.topic}`);
    expect(processed).toHaveLength(2);
  });

  test('L2: one that is lowered while jobs run lets none begin until there is room, and one that is raised lets them at once', async () => {
    const jobs = holding();
    await work([{ name: 'many', maxRunning: 3 }], jobs.handle);
    await publish(numbered(3));
    await jobs.started(3);
    await changeLimit(db.database, { name: 'many', to: { maxRunning: 1 }, ...ADA });
    await publish(['late']);
    jobs.letGo();
    await channel.settled.final(1);
    jobs.letGo();
    await channel.settled.final(2);
    expect(jobs.running()).toHaveLength(1);
    expect(jobs.attempts).toHaveLength(3);
    await changeLimit(db.database, { name: 'many', to: { maxRunning: 2 }, ...ADA });
    await jobs.started(4);
    expect(jobs.running()).toContain('late');
  });

  test('L1: the slot of a worker that was killed is free when its claim ends, and the job runs again', async () => {
    const env = {
      DATABASE_URL: db.url,
      PUBSUB_EMULATOR_HOST: stage.host,
      GOOGLE_CLOUD_PROJECT: stage.connection.projectId,
    };
    const doomed = await startDoomed(['test/limits/worker-main.ts', channel.topic], env, () =>
      publish(['held']),
    );
    const jobs = holding();
    await work([{ name: 'one', maxRunning: 1 }], jobs.handle, { limitsOptions: { pollMs: 50 } });
    await publish(['waits']);
    await channel.settled.all(1);
    expect(jobs.attempts).toEqual([]);
    await doomed.kill();
    await jobs.drain(2);
    await channel.settled.final(2);
    expect(jobs.most.get('')).toBe(1);
    expect(jobs.attempts.map((one) => one.split('/')[0]).sort()).toEqual(['held', 'waits']);
  });

  test('L5: a slot of which no notification tells is found by looking', async () => {
    const jobs = holding();
    await work([{ name: 'one', maxRunning: 1 }], jobs.handle, { limitsOptions: { pollMs: 20 } });
    await publish(['x']);
    await jobs.started(1);
    await publish(['y']);
    await channel.settled.all(1);
    await db.database.query('DELETE FROM throughline.limit_slot');
    await jobs.started(2);
  });

  test('a slot is given back however the job ends', async () => {
    const outcomes: Record<string, () => Promise<Outcome>> = {
      throws: () => Promise.reject(new Error('no')),
      retries: async () => retry('later', { afterMs: 5 }),
      dies: async () => deadLetter('enough'),
    };
    const ran: string[] = [];
    await work([{ name: 'one', maxRunning: 1 }], async ({ jobId, attempt }) => {
      ran.push(jobId);
      return attempt > 1 ? done() : (outcomes[jobId]?.() ?? done());
    });
    await publish(Object.keys(outcomes));
    await channel.settled.final(3);
    expect(ran.sort()).toEqual(['dies', 'retries', 'retries', 'throws', 'throws']);
    expect(await slots()).toEqual([]);
  });

  test('keeps the jobs of an ordering key in order while they wait', async () => {
    const ordered = await stage.newChannel({ ordered: true });
    const job = ordered.job({ orderingKey: (_, orderKey) => orderKey });
    const order: string[] = [];
    await work(
      [{ name: 'one', maxRunning: 1 }],
      async ({ jobId }) => {
        order.push(jobId);
        return done();
      },
      { on: ordered },
    );
    for (const jobId of numbered(6)) {
      const orderKey = Number(jobId.slice(1)) % 2 ? 'odd' : 'even';
      await ordered.publisher.publish(job, { text: jobId }, { jobId, orderKey });
    }
    await ordered.settled.final(6);
    expect(order.filter((id) => Number(id.slice(1)) % 2)).toEqual(['n1', 'n3', 'n5']);
    expect(order.filter((id) => Number(id.slice(1)) % 2 === 0)).toEqual(['n0', 'n2', 'n4']);
  });

  test('a worker that stops hands back what waits, for another one to run', async () => {
    const first = holding();
    const worker = await work([{ name: 'one', maxRunning: 1 }], first.handle);
    await publish(['x', 'y']);
    await first.started(1);
    await channel.settled.all(1);
    const second = holding();
    await work([{ name: 'one', maxRunning: 1 }], second.handle);
    first.letGo();
    await worker.stop();
    await second.drain(1);
    await channel.settled.final(2);
  });

  test('a job that a fence cancels does not wait for a slot', async () => {
    const jobs = holding();
    const fences = createFences({ database: db.database });
    await work([{ name: 'one', maxRunning: 1 }], jobs.handle, { fences });
    await publish(['x']);
    await jobs.started(1);
    await fenceOff(db.database, 'cancel', { orderKey: 'O-9' }, fences);
    await publish(['y'], 'O-9');
    const settled = await channel.settled.final(1);
    expect(settled).toMatchObject([{ jobId: 'y', outcome: 'cancelled' }]);
  });

  test('a key that cannot be told is a dead letter that says so', async () => {
    await work(
      [
        {
          name: 'bad',
          maxRunning: 1,
          keyOf() {
            throw new Error('no such field');
          },
        },
      ],
      async () => done(),
    );
    await publish(['x']);
    const [letter] = await channel.deadLetters(1);
    expect(JSON.stringify(letter?.attributes)).toContain('key of the limit bad');
  });
});

describe('a limit of jobs in a second', () => {
  test('holds for two workers together, and all jobs run, each at its first attempt', async () => {
    const limit = { name: 'slow', perSecond: 40, burst: 4 };
    const attempts: number[] = [];
    const handle: Handle = async ({ attempt }) => {
      attempts.push(attempt);
      return done();
    };
    await work([limit], handle);
    await work([limit], handle);
    const startedMs = performance.now();
    await publish(numbered(60));
    await channel.settled.final(60);
    const seconds = (performance.now() - startedMs) / 1_000;
    expect(attempts).toEqual(numbered(60).map(() => 1));
    expect(attempts.length).toBeLessThanOrEqual(limit.burst + limit.perSecond * seconds);
  });

  test('a job that waits is handed back, and does not keep others of the worker from running', async () => {
    const other = channel.job({ name: 'note.other' });
    const ran: string[] = [];
    const note: Handle = async ({ jobId }) => {
      ran.push(jobId);
      return done();
    };
    const database = openDatabase({ connectionString: db.url });
    const worker = await channel.work(
      (one) => {
        one.handle(channel.job(), note, { limits: [{ name: 'rare', perSecond: 0.001, burst: 1 }] });
        one.handle(other, note);
      },
      {
        maxInFlight: 1,
        inbox: createInbox({ database, consumer: channel.subscription }),
        limits: createLimits({ database }),
      },
    );
    onTestFinished(async () => {
      await worker.stop();
      await database.close();
    });
    await publish(['x']);
    await channel.settled.final(1);
    await publish(['y']);
    await channel.settled.all(2);
    await channel.publisher.publish(other, { text: 'z' }, { jobId: 'z' });
    await channel.settled.final(2);
    expect(ran).toEqual(['x', 'z']);
  });
});

describe('what makes no sense is refused', () => {
  const limitsOf = (...limits: unknown[]) => {
    const worker = createWorker({
      source: createMemorySource(),
      sink: createMemorySink(),
      topic: 't',
      deadLetterTopic: 'd',
      inbox: createInbox({ database: db.database, consumer: 'c' }),
      limits: createLimits({ database: db.database }),
    });
    return () => worker.handle(channel.job(), async () => done(), { limits: limits as JobLimit<Note>[] });
  };

  test('with every problem', () => {
    expect(limitsOf({ name: 'a', maxRunning: 0 }, { name: 'b' })).toThrow(
      /a: maxRunning: expected a whole number from 1[\s\S]*b: expected maxRunning or perSecond/,
    );
    expect(limitsOf({ name: 'a', perSecond: -1, burst: 0, keyOf: () => '' })).toThrow(
      /perSecond[\s\S]*burst[\s\S]*keyOf/,
    );
    expect(limitsOf({ name: 'a', maxRunning: 1 }, { name: 'a', maxRunning: 1 })).toThrow('each name once');
  });

  test('limits without what they need, and other numbers for one limit', async () => {
    const options = {
      source: createMemorySource(),
      sink: createMemorySink(),
      topic: 't',
      deadLetterTopic: 'd',
    };
    const limits = createLimits({ database: db.database });
    expect(() => createWorker({ ...options, limits })).toThrow(OptionsError);
    const bare = createWorker(options);
    const job = channel.job();
    expect(() => bare.handle(job, async () => done(), { limits: [{ name: 'a', maxRunning: 1 }] })).toThrow(
      'because note.keep.v1 has some',
    );
    const worker = createWorker({
      ...options,
      limits,
      inbox: createInbox({ database: db.database, consumer: 'c' }),
    });
    worker.handle(job, async () => done(), { limits: [{ name: 'a', maxRunning: 1 }] });
    worker.handle(channel.job({ version: 2 }), async () => done(), {
      limits: [{ name: 'a', maxRunning: 2 }],
    });
    await expect(worker.start()).rejects.toThrow('the same numbers for each "a"');
    await worker.stop();
    const unknown = changeLimit(db.database, { name: 'x', to: { maxRunning: 1 }, ...ADA });
    await expect(unknown).rejects.toMatchObject({ code: 'LIMIT_UNKNOWN' });
  });
});
