import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createOutbox } from '../../publisher/index.ts';
import { defineJob } from '../../shared/index.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { complaint, throughline } from './throughline.ts';

const TRACE = 'a'.repeat(32);
const TRACEPARENT = `00-${TRACE}-${'b'.repeat(16)}-01`;

describe('throughline job', { timeout: 120_000 }, () => {
  let db: TestDatabase;
  let env: Record<string, string>;
  beforeAll(async () => {
    db = await createTestDatabase();
    env = { DATABASE_URL: db.url };
  });
  beforeEach(async () => {
    await db.database.query(
      'TRUNCATE throughline.dead_letter, throughline.outbox, throughline.delayed_job, throughline.inbox',
    );
  });
  afterAll(() => db.close());

  const enqueue = (id: string, more: { sent?: boolean; notBefore?: string; agoS?: number } = {}) =>
    db.database.query(
      `INSERT INTO throughline.outbox (job_id, job_type, topic, order_key, data, attributes, carrier, sent_at, sends, not_before, enqueued_at)
       VALUES ($1, 'note.keep.v1', 'jobs', 'O-' || $1, '{"email":"ada@shop.example"}', '{"ce-id":"x"}', $2,
         CASE WHEN $3::boolean THEN now() END, $3::boolean::integer, now() + $4::interval, now() - $5 * interval '1 second')`,
      [
        id,
        JSON.stringify({ traceparent: TRACEPARENT }),
        more.sent ?? false,
        more.notBefore ?? null,
        more.agoS ?? 0,
      ],
    );
  const take = (id: string, state: string, more: { until?: string; agoS?: number; consumer?: string } = {}) =>
    db.database.query(
      `INSERT INTO throughline.inbox (consumer, job_id, job_type, state, attempt, claim_until, first_at, finished_at, reason,
         cancelled_by, fence_id, order_key, traceparent)
       VALUES ($5, $1, 'note.keep.v2', $2::text, 2, now() + $3::interval, now() - $4 * interval '1 second',
         CASE WHEN $2::text IN ('done', 'dead', 'cancelled') THEN now() END, CASE WHEN $2::text = 'cancelled' THEN 'wrong segment' END,
         CASE WHEN $2::text = 'cancelled' THEN 'ada' END, CASE WHEN $2::text = 'cancelled' THEN 7 END, 'O-' || $1, $6)`,
      [id, state, more.until ?? null, more.agoS ?? 0, more.consumer ?? 'jobs-worker', TRACEPARENT],
    );
  const bury = (id: string, state: string, diedAt = '2026-01-31T12:00:00Z', consumer = 'jobs-worker') =>
    db.database.query(
      `INSERT INTO throughline.dead_letter (id, state, job_id, job_type, order_key, topic, consumer, given_up_by, reason, attempts, data,
         attributes, traceparent, died_at)
       VALUES ('letter-' || $1 || $3::text, $2, $1, 'note.keep.v1', 'O-' || $1, 'jobs', $5, 'pubsub', 'it killed its workers', 5,
         '\\x00ff', '{"ce-id":"x"}', $4, $3::timestamptz)`,
      [id, state, diedAt, TRACEPARENT, consumer],
    );
  const list = async (...args: string[]) => {
    const { stdout, stderr, exitCode } = await throughline(['job', 'list', '--json', ...args], env);
    expect([exitCode, stderr]).toEqual([0, '']);
    return JSON.parse(stdout) as { jobs: Record<string, unknown>[]; next: string | null };
  };
  const statesOf = ({ jobs }: Awaited<ReturnType<typeof list>>) =>
    Object.fromEntries(jobs.map(({ jobId, state }) => [jobId, state]));

  it('tells of jobs that are not due yet, and when they are', async () => {
    const note = defineJob({
      name: 'note.keep',
      version: 1,
      topic: 'jobs',
      payload: z.strictObject({ text: z.string() }),
    });
    const outbox = createOutbox({ database: db.database, source: 'shop' });
    const runAt = new Date(Date.now() + 3_600_000);
    await db.database.transaction((tx) =>
      outbox.enqueue(tx, note, { text: 'later' }, { jobId: 'delayed', runAt }),
    );
    expect((await list()).jobs).toMatchObject([
      { jobId: 'delayed', state: 'scheduled', dueAt: runAt.toISOString(), sentAt: null, consumer: null },
    ]);
    const { stdout } = await throughline(['job', 'show', 'delayed', '--json'], env);
    expect(JSON.parse(stdout)).toMatchObject({ message: { from: 'outbox', payload: { text: 'later' } } });
  });

  it('tells how far each job is, from outbox, inbox and dead letters', async () => {
    await enqueue('unsent');
    await enqueue('later', { notBefore: '1 hour' });
    await enqueue('sent', { sent: true });
    await enqueue('running', { sent: true });
    await take('running', 'claimed', { until: '1 minute' });
    await enqueue('lost', { sent: true });
    await take('lost', 'claimed', { until: '-1 minute' });
    await enqueue('released', { sent: true });
    await take('released', 'waiting');
    await enqueue('redriven');
    await take('redriven', 'waiting');
    await bury('redriven', 'redriven');
    for (const state of ['done', 'dead', 'cancelled']) await take(state, state);
    await bury('dead', 'open');
    await bury('forwarded', 'open');
    await bury('dropped', 'dropped');
    await bury('stranger', 'redriven');
    await enqueue('once more');
    await bury('once more', 'redriven');
    const page = await list();
    expect(page.next).toBeNull();
    expect(statesOf(page)).toEqual({
      ...{ unsent: 'waiting', later: 'scheduled', sent: 'sent', running: 'running', lost: 'retrying' },
      ...{ released: 'retrying', redriven: 'waiting', done: 'done', dead: 'dead', cancelled: 'cancelled' },
      ...{ forwarded: 'dead', dropped: 'dead', stranger: 'sent' },
      'once more': 'waiting',
    });
    expect(page.jobs).toHaveLength(14);
    expect(page.jobs.find(({ jobId }) => jobId === 'cancelled')).toEqual({
      ...{ jobId: 'cancelled', consumer: 'jobs-worker', jobType: 'note.keep.v2', orderKey: 'O-cancelled' },
      ...{ state: 'cancelled', attempts: 2, sends: null, reason: 'wrong segment', ageMs: expect.any(Number) },
      ...{ enqueuedAt: null, dueAt: null, sentAt: null, claimedAt: null, finishedAt: expect.any(String) },
      ...{ cancelledBy: 'ada', fenceId: '7', letterId: null, traceId: TRACE },
    });
    expect(page.jobs.every(({ traceId }) => traceId === TRACE)).toBe(true);
    expect(page.jobs.find(({ jobId }) => jobId === 'dead')?.letterId).toMatch(/^letter-dead/);
  });

  it('filters by name or type, order, state and age, all at once', async () => {
    await enqueue('o1', { agoS: 7_200 });
    await take('i1', 'done', { agoS: 10 });
    await bury('d1', 'open');
    expect(statesOf(await list('--job', 'note.keep'))).toEqual({ o1: 'waiting', i1: 'done', d1: 'dead' });
    expect(statesOf(await list('--job', 'note.keep.v2'))).toEqual({ i1: 'done' });
    expect(statesOf(await list('--job', 'note'))).toEqual({});
    expect(statesOf(await list('--order', 'O-d1'))).toEqual({ d1: 'dead' });
    expect(statesOf(await list('--order', 'O-i1', '--state', 'done'))).toEqual({ i1: 'done' });
    expect(statesOf(await list('--state', 'waiting,dead'))).toEqual({ o1: 'waiting', d1: 'dead' });
    expect(statesOf(await list('--since', '1h'))).toEqual({ i1: 'done' });
    expect(statesOf(await list('--since', '3h', '--state', 'waiting'))).toEqual({ o1: 'waiting' });
  });

  it('gives every job once over pages, also those of one instant', async () => {
    await db.database.query(
      `INSERT INTO throughline.inbox (consumer, job_id, job_type, state, first_at)
       SELECT 'c' || (n % 2), 'job-' || n / 2, 'note.keep.v1', 'done', '2026-01-31T12:00:00.123456Z' FROM generate_series(0, 19) n`,
    );
    await enqueue('new');
    await bury('old', 'open');
    const seen: string[] = [];
    for (let after: string | undefined, pages = 0; pages < 10; pages++) {
      const page = await list('--limit', '5', ...(after === undefined ? [] : ['--after', after]));
      seen.push(...page.jobs.map(({ jobId, consumer }) => `${jobId} ${consumer}`));
      if (page.next === null) break;
      after = page.next;
    }
    expect(seen).toHaveLength(22);
    expect(new Set(seen).size).toBe(22);
    expect([seen[0], seen.at(-1)]).toEqual(['new null', 'old jobs-worker']);
  }, 120_000);

  it('lists for people without payloads, and says how to go on', async () => {
    await enqueue('p1', { agoS: 60 });
    await enqueue('p2');
    const { stdout, stderr } = await throughline(['job', 'list', '--limit', '1'], env);
    expect(stdout).toMatch(
      /^JOB +STATE +TYPE +ORDER +CONSUMER +TRIES +AGE +REASON\np2 +waiting +note\.keep\.v1 +O-p2 +- +0 +\S/,
    );
    const [, next = ''] = /^There are more; the next page: --after (\S+)\n$/.exec(stderr) ?? [];
    const second = await throughline(['job', 'list', '--after', next], env);
    expect([second.stdout.split('\n')[1]?.slice(0, 2), second.stderr]).toEqual(['p1', '']);
    expect(stdout + second.stdout).not.toContain('ada@shop.example');
    expect((await throughline(['job', 'list', '--order', 'nobody'], env)).stdout).toBe(
      'There are no such jobs.\n',
    );
  });

  it('shows one with its message, carrier and payload', async () => {
    await enqueue('s1', { sent: true });
    await take('s1', 'claimed', { until: '1 minute' });
    await take('s1', 'cancelled', { consumer: 'other' });
    const { stdout } = await throughline(['job', 'show', 's1'], env);
    expect(stdout).toMatch(/^state +running$/m);
    expect(stdout).toMatch(/^cancelled by +ada, by fence 7$/m);
    expect(stdout).toMatch(new RegExp(`^carrier: traceparent +${TRACEPARENT}$`, 'm'));
    expect(stdout).toContain('"email": "ada@shop.example"');
    const { message, consumers } = JSON.parse(
      (await throughline(['job', 'show', 's1', '--json'], env)).stdout,
    );
    expect(message).toMatchObject({
      from: 'outbox',
      topic: 'jobs',
      payload: { email: 'ada@shop.example' },
      carrier: { traceparent: TRACEPARENT },
    });
    expect(consumers.map(({ consumer }: { consumer: string }) => consumer).sort()).toEqual([
      'jobs-worker',
      'other',
    ]);
  });

  it('shows what is left of one that is over: its letter, or what the inbox remembers', async () => {
    await bury('gone', 'dropped');
    await bury('gone', 'redriven', '2026-01-30T12:00:00Z');
    const dead = JSON.parse((await throughline(['job', 'show', 'gone', '--json'], env)).stdout);
    expect(dead.message).toMatchObject({ from: 'dead-letter', payload: null, payloadBase64: 'AP8=' });
    expect(dead.deadLetters.map(({ state }: { state: string }) => state)).toEqual(['dropped', 'redriven']);
    expect(dead.consumers).toMatchObject([{ state: 'dead', finishedAt: '2026-01-31T12:00:00.000Z' }]);
    await take('over', 'done');
    const over = await throughline(['job', 'show', 'over'], env);
    expect(over.stdout).toContain('Its message is forgotten');
    const nobody = await throughline(['job', 'show', 'nobody'], env);
    expect(complaint(nobody)).toMatch(/^there is no job nobody, /);
    expect(nobody.exitCode).toBe(1);
  });

  it.each([
    [['list', '--state', 'lost'], expect.stringContaining('There is no state "lost".')],
    [['list', '--after', 'here'], 'after: expected what the page before gave as `next`'],
    [
      ['list', '--after', Buffer.from('["x","y","z"]').toString('base64url')],
      expect.stringMatching(/^after: /),
    ],
    [['list', '--since', 'yesterday'], expect.stringContaining('It must be a time like')],
    [['show'], "missing required argument 'job'"],
  ])('refuses %j in one line, with exit code 2', async (args, line) => {
    const ended = await throughline(['job', ...args], env);
    expect(complaint(ended)).toEqual(line);
    expect([ended.exitCode, ended.stdout]).toEqual([2, '']);
  });
});
