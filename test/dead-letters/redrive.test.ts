import { context } from '@opentelemetry/api';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { deadLetter, done, inSpan, type Outcome, restoreCarrier } from '../../shared/index.ts';
import {
  dropDeadLetter,
  dropDeadLetters,
  type JobDelivery,
  readDeadLetter,
  redriveDeadLetter,
  redriveDeadLetters,
} from '../../subscriber/index.ts';
import { assertConnected, type SpanRecord } from '../../testing/index.ts';
import { createLetterLab, forwardByPubSub, type LetterLab } from '../support/letter-lab.ts';
import { EMBEDDED } from '../support/pubsub-target.ts';
import { type Stage, startStage } from '../support/stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await startStage(EMBEDDED);
});
afterAll(() => stage.close());

const ada = { actor: 'ada', reason: 'ticket 4711' };

/** A worker whose jobs die while `isBroken`; `runs` tells each run. */
async function workshop(lab: LetterLab, onRun?: (delivery: JobDelivery<unknown>) => Outcome | undefined) {
  const runs: string[] = [];
  const state = { isBroken: true, runs };
  const job = lab.channel.job();
  await lab.channel.work(
    (worker) =>
      worker.handle(job, async (delivery) => {
        runs.push(`${delivery.jobId} ${delivery.attempt}`);
        return onRun?.(delivery) ?? (state.isBroken ? deadLetter('the partner is closed') : done());
      }),
    { inbox: lab.inbox() },
  );
  return Object.assign(state, { job });
}

/** Stores letters of jobs that no worker has seen. */
async function storeLetters(lab: LetterLab, count: number, more = '') {
  await lab.database.query(
    `INSERT INTO throughline.dead_letter (id, job_id, job_type, topic, subscription, consumer, given_up_by, reason, data, attributes, died_at)
     SELECT 'l' || lpad(n::text, 4, '0'), 'job-' || n, 'note.keep.v1', $2, $3, $3, 'worker', 'closed' || $4, '{"text":"x"}',
       json_build_object('ce-id', 'job-' || n, 'ce-type', 'note.keep.v1'), now() - interval '1 hour' + n * interval '1 second'
     FROM generate_series(1, $1::integer) n`,
    [count, lab.channel.topic, lab.channel.subscription, more],
  );
}

const inboxRow = async ({ database }: LetterLab, jobId: string) => {
  const { rows } = await database.query(
    'SELECT state, attempt, redrives FROM throughline.inbox WHERE job_id = $1',
    [jobId],
  );
  return rows;
};
const audit = async ({ database }: LetterLab) => {
  const { rows } = await database.query(
    'SELECT actor, action, target, reason, details, carrier FROM throughline.operator_action ORDER BY id',
  );
  return rows;
};
const linksOf = ({ links }: SpanRecord) =>
  links.map(({ spanId, attributes }) => `${attributes['throughline.link.reason']} ${spanId}`);

test('a dead job that is redriven runs once, under its id, with fresh attempts, and its spans hang together', async () => {
  const lab = await createLetterLab(stage);
  const { channel } = lab;
  const shop = await workshop(lab);
  await lab.keep();
  await lab.relay();
  const orderKey = 'O-redriven';
  const options = { jobId: 'job-1', orderKey, attributes: { tenant: 'acme' } };
  await lab.database.transaction((tx) => lab.outbox.enqueue(tx, shop.job, { text: 'hello' }, options));
  const [kept] = await lab.kept(1);
  await channel.settled.final(1);
  expect(await inboxRow(lab, 'job-1')).toEqual([{ state: 'dead', attempt: 1, redrives: 0 }]);

  shop.isBroken = false;
  const letterId = kept?.letterId ?? '';
  const receipt = await inSpan('POST /admin/redrive', {}, () =>
    redriveDeadLetter(lab.database, lab.messages, { letterId, ...ada }),
  );
  await channel.settled.final(2);

  expect(shop.runs).toEqual(['job-1 1', 'job-1 1']);
  expect(await inboxRow(lab, 'job-1')).toEqual([{ state: 'done', attempt: 1, redrives: 1 }]);
  expect(await lab.enqueued()).toEqual([]);
  expect(receipt).toMatchObject({ letterId, jobId: 'job-1', jobType: 'note.keep.v1', orderKey });
  expect(await lab.letters()).toMatchObject([
    { state: 'redriven', settledBy: 'ada', settledReason: 'ticket 4711', settledAt: expect.any(String) },
  ]);
  expect(await audit(lab)).toEqual([
    {
      actor: 'ada',
      action: 'dead-letter.redrive',
      target: letterId,
      reason: 'ticket 4711',
      details: { jobId: 'job-1', jobType: 'note.keep.v1', orderKey, topic: channel.topic },
      carrier: expect.objectContaining({ traceparent: expect.stringContaining(receipt.traceId ?? 'none') }),
    },
  ]);
  expect(await channel.tree()).toBe(
    [
      'send jobs [shop]',
      '  process jobs [shop] attempt=1 error=DEAD_LETTER link:producer→send jobs',
      '    send dead [shop]',
      'POST /admin/redrive [shop]',
      '  redrive jobs [shop] link:dead-delivery→process jobs',
      '    send jobs [shop]',
      '      process jobs [shop] attempt=1 link:producer→send jobs',
    ].join('\n'),
  );
  assertConnected(await channel.spans(), orderKey);
});

test('in the trace of the dead delivery the spans of the second life are not taken for those of the first', async () => {
  const lab = await createLetterLab(stage);
  const { channel } = lab;
  const shop = await workshop(lab);
  await lab.keep();
  await lab.relay();
  const options = { jobId: 'job-1', orderKey: 'O-same' };
  await inSpan('place order', { attributes: { 'order.event_id': 'O-same' } }, () =>
    lab.database.transaction((tx) => lab.outbox.enqueue(tx, shop.job, { text: 'hello' }, options)),
  );
  const [kept] = await lab.kept(1);
  await channel.settled.final(1);
  shop.isBroken = false;
  const letter = await readDeadLetter(lab.database, kept?.letterId ?? '');
  const parent = restoreCarrier({ traceparent: letter?.traceparent ?? '' });
  await context.with(parent, () =>
    redriveDeadLetter(lab.database, lab.messages, { letterId: kept?.letterId ?? '', ...ada }),
  );
  await channel.settled.final(2);
  expect(await channel.tree()).toBe(
    [
      'place order [shop]',
      '  send jobs [shop]',
      '    process jobs [shop] attempt=1 error=DEAD_LETTER link:producer→send jobs',
      '      send dead [shop]',
      '      redrive jobs [shop] link:dead-delivery→process jobs',
      '        send jobs [shop]',
      '          process jobs [shop] attempt=1 link:producer→send jobs',
    ].join('\n'),
  );
});

test('what Pub/Sub reserves is stripped, what others wrote stays, and the trace is the new one', async () => {
  const lab = await createLetterLab(stage);
  const { channel } = lab;
  const seen: JobDelivery<unknown>['message'][] = [];
  const shop = await workshop(lab, ({ message }) => void seen.push(message));
  shop.isBroken = false;
  await storeLetters(lab, 1);
  await lab.database.query(`UPDATE throughline.dead_letter SET attributes = $1`, [
    JSON.stringify({
      'ce-id': 'job-1',
      'ce-type': 'note.keep.v1',
      tenant: 'acme',
      googclient_schemaencoding: 'JSON',
      GoogTest: 'x',
      traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
      tracestate: 'old=1',
    }),
  ]);
  await lab.relay();
  const { traceId = '' } = await redriveDeadLetter(lab.database, lab.messages, { letterId: 'l0001', ...ada });
  await channel.settled.final(1);
  expect(seen[0]?.attributes).toEqual({
    'ce-id': 'job-1',
    'ce-type': 'note.keep.v1',
    tenant: 'acme',
    traceparent: expect.stringContaining(traceId),
  });
});

test('a message that Pub/Sub itself forwarded, while its worker had died with it in hand, runs when it is redriven', async () => {
  const lab = await createLetterLab(stage, { maxDeliveryAttempts: 6 });
  const { channel } = lab;
  await channel.publisher.publish(channel.job(), { text: 'hello' }, { jobId: 'job-1' });
  await lab.database.query(
    `INSERT INTO throughline.inbox (consumer, job_id, job_type, state, attempt, lost, claimed_by, claim_until)
     VALUES ($1, 'job-1', 'note.keep.v1', 'claimed', 1, 19, gen_random_uuid(), now() - interval '1 second')`,
    [channel.subscription],
  );
  await lab.keep();
  await forwardByPubSub(stage, channel.subscription, 6);
  const [kept] = await lab.kept(1);
  const shop = await workshop(lab);
  shop.isBroken = false;
  await lab.relay();
  await redriveDeadLetter(lab.database, lab.messages, { letterId: kept?.letterId ?? '', ...ada });
  await channel.settled.final(1);
  expect(shop.runs).toEqual(['job-1 1']);
  expect(await inboxRow(lab, 'job-1')).toEqual([{ state: 'done', attempt: 1, redrives: 1 }]);
});

test('bytes that are not text, of a stranger, are sent as they are, and once: no inbox will ever finish them', async () => {
  const lab = await createLetterLab(stage);
  const poison = Buffer.from([0, 255, 254, 0xc3, 0x28, 0]);
  await lab.keep();
  await lab.channel.sink.publish(lab.channel.deadLetterTopic, [
    { data: poison, attributes: { kind: 'stranger' }, orderingKey: 'k' },
  ]);
  const [kept] = await lab.kept(1);
  await redriveDeadLetter(lab.database, lab.messages, { letterId: kept?.letterId ?? '', ...ada });
  await lab.relay();
  await lab.sent(1);
  const { subscriber, projectId } = stage.connection;
  const [{ receivedMessages }] = await subscriber.pull({
    subscription: `projects/${projectId}/subscriptions/${lab.channel.subscription}`,
    maxMessages: 10,
  });
  expect(receivedMessages).toHaveLength(1);
  const message = receivedMessages?.[0]?.message;
  expect(Buffer.from(message?.data ?? '')).toEqual(poison);
  expect(message?.attributes).toEqual({ kind: 'stranger', traceparent: expect.any(String) });
  expect(message?.orderingKey).toBe('k');
  expect(await lab.enqueued()).toEqual([]);
});

test.each(['its consumer', 'all'])('a job that was cancelled for %s is never revived', async (by) => {
  const lab = await createLetterLab(stage);
  await storeLetters(lab, 1);
  await lab.database.query(
    `INSERT INTO throughline.inbox (consumer, job_id, job_type, state, reason, finished_at)
     VALUES ($1, 'job-1', '', 'cancelled', 'ada stopped it', now())`,
    [by === 'all' ? '*' : lab.channel.subscription],
  );
  const before = await inboxRow(lab, 'job-1');
  await expect(
    redriveDeadLetter(lab.database, lab.messages, { letterId: 'l0001', ...ada }),
  ).rejects.toMatchObject({
    code: 'JOB_CANCELLED',
    message: 'dead letter l0001 (job job-1): the job was cancelled (ada stopped it)',
  });
  expect([await lab.enqueued(), await audit(lab), await inboxRow(lab, 'job-1')]).toEqual([[], [], before]);
  expect(await lab.letters()).toMatchObject([{ state: 'open' }]);
});

test('a job that is done, and one that a worker has in hand, are left alone', async () => {
  const lab = await createLetterLab(stage);
  await storeLetters(lab, 2);
  await lab.database.query(
    `INSERT INTO throughline.inbox (consumer, job_id, job_type, state, claim_until) VALUES
      ($1, 'job-1', '', 'done', NULL), ($1, 'job-2', '', 'claimed', now() + interval '1 minute')`,
    [lab.channel.subscription],
  );
  const report = await redriveDeadLetters(lab.database, lab.messages, {
    filter: {},
    perSecond: 1_000,
    ...ada,
  });
  expect(report).toMatchObject({ settled: 0, refused: { JOB_DONE: 1, JOB_HELD: 1 } });
  expect(await lab.enqueued()).toEqual([]);
});

test('of two operators who redrive at once one is told who was first, and the job is sent once', async () => {
  const lab = await createLetterLab(stage);
  const shop = await workshop(lab);
  await lab.keep();
  await lab.channel.publisher.publish(shop.job, { text: 'hello' }, { jobId: 'job-1' });
  const [kept] = await lab.kept(1);
  await lab.channel.settled.final(1);
  shop.isBroken = false;
  const letterId = kept?.letterId ?? '';
  // Both have looked before either has acted.
  const hold = lab.database.hold((text) =>
    text.includes('FROM throughline.dead_letter WHERE id = $1 FOR UPDATE'),
  );
  const both = ['ada', 'grace'].map((actor) =>
    redriveDeadLetter(lab.database, lab.messages, { letterId, actor }),
  );
  await hold.reached;
  hold.letGo();
  const results = await Promise.allSettled(both);
  const refusals = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
  expect(refusals).toMatchObject([{ code: 'DEAD_LETTER_SETTLED' }]);
  expect(refusals[0].message).toMatch(/it was redriven already, by (ada|grace) at \d{4}-/);
  expect(await lab.enqueued()).toEqual(['job-1']);
  expect(await audit(lab)).toHaveLength(1);
  await lab.relay();
  await lab.channel.settled.final(2);
  expect(shop.runs).toEqual(['job-1 1', 'job-1 1']);
});

test('an old delivery that was found dead before the redrive does not take the redriven job out of the outbox', async () => {
  const lab = await createLetterLab(stage);
  const { database, channel } = lab;
  const shop = await workshop(lab);
  await lab.keep();
  await channel.publisher.publish(shop.job, { text: 'hello' }, { jobId: 'job-1' });
  const [kept] = await lab.kept(1);
  await channel.settled.final(1);
  shop.isBroken = false;
  const hold = database.hold((text) => text.startsWith('throughline-inbox-unneeded'));
  await channel.publisher.publish(shop.job, { text: 'hello' }, { jobId: 'job-1' });
  await hold.reached; // it knows that the job is dead, and has not yet removed what is not needed
  await redriveDeadLetter(database, lab.messages, { letterId: kept?.letterId ?? '', ...ada });
  hold.letGo();
  await channel.settled.final(2);
  expect(await lab.enqueued()).toEqual(['job-1']);
  await lab.relay();
  await channel.settled.final(3);
  expect(shop.runs).toEqual(['job-1 1', 'job-1 1']);
});

test('nothing is done when a part of it fails: neither letter, nor inbox, nor outbox, nor audit', async () => {
  const lab = await createLetterLab(stage);
  await storeLetters(lab, 1);
  const { database } = lab;
  await database.query(
    `INSERT INTO throughline.inbox (consumer, job_id, job_type, state) VALUES ($1, 'job-1', '', 'dead')`,
    [lab.channel.subscription],
  );
  void database.refuse((text) => text.includes('operator_action'), '23514');
  const redrive = () => redriveDeadLetter(database, lab.messages, { letterId: 'l0001', ...ada });
  await expect(redrive()).rejects.toThrow('the server refuses it');
  expect(await inboxRow(lab, 'job-1')).toEqual([{ state: 'dead', attempt: 0, redrives: 0 }]);
  expect([await lab.enqueued(), await audit(lab)]).toEqual([[], []]);
  expect(await lab.letters()).toMatchObject([{ state: 'open' }]);
  await redrive();
  expect(await lab.enqueued()).toEqual(['job-1']);
});

test('a job that dies again is a new letter, and a redrive of all does not take it up in a circle', async () => {
  const lab = await createLetterLab(stage);
  const shop = await workshop(lab);
  await lab.keep();
  await lab.relay();
  await lab.channel.publisher.publish(shop.job, { text: 'hello' }, { jobId: 'job-1' });
  await lab.kept(1);
  await lab.channel.settled.final(1);
  const redrive = () =>
    redriveDeadLetters(lab.database, lab.messages, { filter: {}, perSecond: 1_000, ...ada });
  expect(await redrive()).toMatchObject({ settled: 1, refused: {} });
  await lab.kept(2);
  await lab.channel.settled.final(2);
  expect((await lab.letters()).map(({ state, jobId }) => [state, jobId])).toEqual([
    ['open', 'job-1'],
    ['redriven', 'job-1'],
  ]);
  shop.isBroken = false;
  expect(await redrive()).toMatchObject({ settled: 1 });
  await lab.channel.settled.final(3);
  expect(await inboxRow(lab, 'job-1')).toEqual([{ state: 'done', attempt: 1, redrives: 2 }]);
});

test('redrives all of a filter, oldest first, no faster than it was told, each in a trace that links to the operator', async () => {
  const lab = await createLetterLab(stage);
  await storeLetters(lab, 8);
  await lab.database.query(
    `UPDATE throughline.dead_letter SET reason = 'Another' WHERE id IN ('l0002', 'l0005')`,
  );
  const order: string[] = [];
  const startedMs = performance.now();
  const report = await inSpan('POST /admin/redrives', {}, () =>
    redriveDeadLetters(lab.database, lab.messages, {
      filter: { reason: 'CLOSED', jobType: 'note.keep.v1' },
      perSecond: 20,
      limit: 5,
      onLetter: (result) => order.push('receipt' in result ? result.receipt.letterId : 'refused'),
      ...ada,
    }),
  );
  expect(performance.now() - startedMs).toBeGreaterThanOrEqual((1_000 / 20) * 4 - 5);
  expect(report).toMatchObject({ settled: 5, refused: {}, isStopped: false });
  expect(order).toEqual(['l0001', 'l0003', 'l0004', 'l0006', 'l0007']);
  await stage.flush();
  const spans = stage.collector.spans;
  const bulk = spans.find(({ traceId, name }) => traceId === report.traceId && name.startsWith('operate'));
  expect(bulk?.name).toBe('operate dead-letter.redrive');
  const each = spans.filter(({ name }) => name === `redrive ${lab.channel.topic}`);
  expect(each.map(({ parentSpanId }) => parentSpanId)).toEqual(Array(5).fill(undefined));
  expect(each.map((span) => linksOf(span))).toEqual(Array(5).fill([`caused-by ${bulk?.spanId}`]));
  expect(new Set(each.map(({ traceId }) => traceId)).size).toBe(5);
});

test('leaves for the next run what is stored while it is at work', async () => {
  const lab = await createLetterLab(stage);
  await storeLetters(lab, 200); // a page
  let stored: Promise<unknown> | undefined;
  const report = await redriveDeadLetters(lab.database, lab.messages, {
    filter: {},
    perSecond: 1_000,
    onLetter: () => {
      stored ??=
        lab.database.query(`INSERT INTO throughline.dead_letter (id, job_id, topic, given_up_by, reason, data, attributes, died_at)
        VALUES ('new', 'new', 'jobs', 'worker', 'again', '', '{}', now())`);
    },
    ...ada,
  });
  await stored;
  expect(report).toMatchObject({ settled: 200, refused: {} });
  expect((await lab.letters()).filter(({ state }) => state === 'open')).toMatchObject([{ letterId: 'new' }]);
});

test('is stopped between two letters, and the next run goes on', async () => {
  const lab = await createLetterLab(stage);
  await storeLetters(lab, 4);
  const stopping = new AbortController();
  const redrive = (signal?: AbortSignal) =>
    redriveDeadLetters(lab.database, lab.messages, {
      filter: {},
      perSecond: signal ? 0.01 : 1_000,
      ...(signal && { signal }),
      onLetter: () => stopping.abort(),
      ...ada,
    });
  expect(await redrive(stopping.signal)).toMatchObject({ settled: 1, isStopped: true });
  expect(await redrive()).toMatchObject({ settled: 3, isStopped: false });
  expect(await lab.enqueued()).toEqual(['job-1', 'job-2', 'job-3', 'job-4']);
});

test('what is dropped is never sent, with a reason that is kept; without one it is refused', async () => {
  const lab = await createLetterLab(stage);
  await storeLetters(lab, 3);
  await expect(
    dropDeadLetter(lab.database, { letterId: 'l0001', actor: ' ', reason: '' }),
  ).rejects.toMatchObject({
    code: 'DEAD_LETTER_INPUT_INVALID',
    issues: ['actor: expected the name of who does it', 'reason: expected why'],
  });
  await dropDeadLetter(lab.database, { letterId: 'l0001', actor: 'ada', reason: 'a test' });
  const again = redriveDeadLetter(lab.database, lab.messages, { letterId: 'l0001', ...ada });
  await expect(again).rejects.toMatchObject({ code: 'DEAD_LETTER_SETTLED' });
  await expect(again).rejects.toThrow('it was dropped already, by ada');
  const report = await dropDeadLetters(lab.database, { filter: {}, actor: 'grace', reason: 'all tests' });
  expect(report).toMatchObject({ settled: 2 });
  expect((await lab.letters()).map(({ state, settledReason }) => [state, settledReason])).toEqual([
    ['dropped', 'all tests'],
    ['dropped', 'all tests'],
    ['dropped', 'a test'],
  ]);
  expect((await audit(lab)).map(({ action, target }) => [action, target])).toEqual([
    ['dead-letter.drop', 'l0001'],
    ['dead-letter.drop', 'l0002'],
    ['dead-letter.drop', 'l0003'],
  ]);
  expect(await lab.enqueued()).toEqual([]);
  const unknown = dropDeadLetter(lab.database, { letterId: 'nobody', actor: 'ada', reason: 'x' });
  await expect(unknown).rejects.toMatchObject({ code: 'DEAD_LETTER_UNKNOWN' });
});
