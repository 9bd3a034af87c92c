import { context, propagation, trace } from '@opentelemetry/api';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { startEmulator } from '../../emulator/index.ts';
import { createOutbox } from '../../publisher/index.ts';
import { takeUnsent } from '../../publisher/outbox-rows.ts';
import {
  applyTopology,
  cancelled,
  connect,
  createBatchSink,
  createStreamingPullSource,
  deadLetter,
  done,
  inSpan,
  jobTopology,
  type Outcome,
  restoreCarrier,
  retry,
  withOrderKey,
} from '../../shared/index.ts';
import { injectContext } from '../../shared/trace/message-context.ts';
import { outboxSendIds } from '../../shared/trace/send-span.ts';
import { createInbox, createWorker, type Inbox, type InboxOptions } from '../../subscriber/index.ts';
import type { Channel } from '../support/channel.ts';
import { startDoomed } from '../support/doomed-process.ts';
import { createGate } from '../support/gate.ts';
import { EMBEDDED } from '../support/pubsub-target.ts';
import { createRelayLab, type RelayLab } from '../support/relay-lab.ts';
import { createSettledLog } from '../support/settled-log.ts';
import { type Stage, startStage } from '../support/stage.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

/** From the committed row to the worker and back to no row, over a real emulator. */
let stage: Stage;
let db: TestDatabase;
let lab: RelayLab;
let channel: Channel;
beforeAll(async () => {
  stage = await startStage(EMBEDDED);
});
beforeEach(async () => {
  db = await createTestDatabase();
  onTestFinished(() => db.close());
  lab = createRelayLab(db);
  channel = await stage.newChannel({ ordered: true });
});
afterAll(() => stage.close());

const newInbox = (options?: Partial<InboxOptions>): Inbox =>
  createInbox({ database: db.database, consumer: channel.subscription, claimMs: 1_000, ...options });
const relay = (options = {}) => lab.relay({ sink: channel.sink, ...options });
const enqueue = (jobId: string, job = channel.job()) =>
  db.database.transaction((tx) => lab.outbox.enqueue(tx, job, { text: jobId }, { jobId }));
const ids = async () => (await lab.rows()).map(({ job_id }) => job_id);

test('a committed job is run once, in the trace of what enqueued it, and its row is gone', async () => {
  await relay();
  const runs: string[] = [];
  await channel.work(
    (worker) =>
      worker.handle(channel.job(), async ({ jobId }) => {
        runs.push(jobId);
        return done();
      }),
    { inbox: newInbox() },
  );
  await inSpan('place order', { parent: withOrderKey(context.active(), 'o-1') }, () => enqueue('a'));
  await channel.settled.final(1);
  expect(runs).toEqual(['a']);
  expect(await channel.tree()).toBe(
    [
      'place order [shop]',
      '  send jobs [shop]',
      '    process jobs [shop] attempt=1 link:producer→send jobs',
    ].join('\n'),
  );
  const orderKeys = (await channel.spans()).map(({ attributes }) => attributes['order.event_id']);
  expect(orderKeys).toEqual(['o-1', 'o-1', 'o-1']);
  expect(await ids()).toEqual([]);
});

describe('a relay that dies between publishing and marking', () => {
  /** What it had published: its span has an id already, and is never told. */
  async function publishAndDie(): Promise<void> {
    const [row] = await takeUnsent(db.database, { lane: 'unordered', limit: 1 });
    if (!row) throw new Error('there is nothing to send');
    const parent = restoreCarrier(row.carrier);
    const { traceId = '' } = trace.getSpanContext(parent) ?? {};
    const { spanId } = outboxSendIds(row.id, row.job_id, row.sends);
    const attributes = { ...row.attributes };
    injectContext(attributes, trace.setSpanContext(parent, { traceId, spanId, traceFlags: 1 }), {});
    await channel.sink.publish(row.topic, [{ data: Buffer.from(row.data), attributes }]);
  }
  const work = (run: () => Promise<Outcome>) =>
    channel.work((worker) => worker.handle(channel.job(), run), { inbox: newInbox() });
  const TREE = [
    'place order [shop]',
    '  send jobs [shop]',
    '    process jobs [shop] attempt=1 link:producer→send jobs',
  ].join('\n');

  test('has its send span told by whoever finishes the job', async () => {
    await work(async () => done());
    await inSpan('place order', {}, () => enqueue('a'));
    await publishAndDie();
    await channel.settled.final(1);
    expect(await channel.tree()).toBe(TREE);
    expect(await ids()).toEqual([]);
  });

  test('and of a job that waits to be sent again, no send is told that never was', async () => {
    const isSent = createGate();
    await work(async () => {
      await isSent.opened;
      return done();
    });
    const sending = await relay();
    await inSpan('place order', {}, () => enqueue('a'));
    await lab.sent(1);
    await sending.stop();
    await db.database.query('UPDATE throughline.outbox SET sent_at = NULL');
    isSent.open();
    await channel.settled.final(1);
    expect(await channel.tree()).toBe(TREE);
  });
});

test('baggage that is allowed on the whole way survives the table', async () => {
  const baggageKeys = ['tenant'];
  await relay({ baggageKeys });
  const seen: unknown[] = [];
  await channel.work(
    (worker) =>
      worker.handle(channel.job(), async () => {
        seen.push(propagation.getActiveBaggage()?.getEntry('tenant')?.value);
        return done();
      }),
    { inbox: newInbox(), baggageKeys },
  );
  const outbox = createOutbox({ database: db.database, source: 'shop', baggageKeys });
  const baggage = propagation.createBaggage({ tenant: { value: 'blue' }, secret: { value: 'red' } });
  await context.with(propagation.setBaggage(context.active(), baggage), () =>
    db.database.transaction((tx) => outbox.enqueue(tx, channel.job(), { text: 'a' })),
  );
  await channel.settled.final(1);
  expect(seen).toEqual(['blue']);
});

test('a job whose transaction is rolled back is never sent', async () => {
  await relay();
  await channel.work((worker) => worker.handle(channel.job(), async () => done()), { inbox: newInbox() });
  const failing = db.database.transaction(async (tx) => {
    await lab.outbox.enqueue(tx, channel.job(), { text: 'a' }, { jobId: 'never' });
    throw new Error('changed my mind');
  });
  await expect(failing).rejects.toThrow('changed my mind');
  await enqueue('later');
  expect(await channel.settled.final(1)).toMatchObject([{ jobId: 'later' }]);
});

test('a row stays, as sent, for as long as its job is not finished', async () => {
  await relay();
  const started = createGate();
  const mayEnd = createGate();
  await channel.work(
    (worker) =>
      worker.handle(channel.job(), async ({ attempt }) => {
        if (attempt === 1) return retry('not yet');
        started.open();
        await mayEnd.opened;
        return done();
      }),
    { inbox: newInbox() },
  );
  await enqueue('a');
  await started.opened;
  await lab.sent(1);
  expect(await lab.rows()).toMatchObject([{ job_id: 'a', is_sent: true, sends: 1 }]);
  mayEnd.open();
  await channel.settled.final(1);
  expect(await lab.rows()).toEqual([]);
});

test.each([
  ['given up', 'dead', deadLetter('no use')],
  ['cancelled', 'cancelled', cancelled('operator')],
])('the row of a job that is %s is gone as well', async (_, state, outcome) => {
  await relay();
  await channel.work((worker) => worker.handle(channel.job(), async () => outcome), { inbox: newInbox() });
  await enqueue('a');
  await channel.settled.final(1);
  expect(await lab.rows()).toEqual([]);
  const { rows } = await db.database.query('SELECT state FROM throughline.inbox');
  expect(rows).toEqual([{ state }]);
});

test('a job that still runs when it is sent again is not run beside itself', async () => {
  await relay({ resendAfterMs: 200, pollMs: 20 });
  const mayEnd = createGate();
  let runs = 0;
  await channel.work(
    (worker) =>
      worker.handle(channel.job(), async () => {
        runs += 1;
        await mayEnd.opened;
        return done();
      }),
    { inbox: newInbox() },
  );
  await enqueue('a');
  await lab.sent(2);
  await channel.settled.all(1); // the second message is handed back
  mayEnd.open();
  await channel.settled.final(2);
  expect(runs).toBe(1);
  expect(await lab.rows()).toEqual([]);
});

test('a topic that hangs costs the jobs of others no attempt', async () => {
  const sink = createBatchSink(stage.connection);
  const elsewhere = channel.job({ name: 'note.elsewhere' });
  await relay({
    publishTimeoutMs: 300,
    sink: {
      ...sink,
      publish: (topic: string, messages: never) =>
        topic === 'hangs' ? new Promise(() => {}) : sink.publish(topic, messages),
    },
  });
  await channel.work((worker) => worker.handle(channel.job(), async () => done()), { inbox: newInbox() });
  await db.database.transaction(async (tx) => {
    await lab.outbox.enqueue(tx, { ...elsewhere, topic: 'hangs' }, { text: 'b' }, { jobId: 'hanging' });
    await lab.outbox.enqueue(tx, channel.job(), { text: 'a' }, { jobId: 'fine' });
  });
  expect(await channel.settled.final(1)).toMatchObject([{ jobId: 'fine', attempt: 1 }]);
  expect(channel.settled.entries).toHaveLength(1);
  expect(await ids()).toEqual(['hanging']);
});

test('a broker that forgets everything loses nothing: the sweeper sends again, and the job runs once', async () => {
  const first = await startEmulator();
  const { port } = first;
  const connection = await connect({ projectId: 'forgetful', emulatorHost: first.host });
  onTestFinished(() => connection.close());
  await applyTopology(connection, jobTopology({ topic: channel.topic }));
  const sink = createBatchSink(connection);
  await relay({ sink, resendAfterMs: 300, pollMs: 20 });
  await inSpan('place order', {}, () => enqueue('a'));
  await lab.sent(1);
  await first.close();

  const second = await startEmulator({ port });
  onTestFinished(() => second.close());
  await applyTopology(connection, jobTopology({ topic: channel.topic }));
  let runs = 0;
  const settled = createSettledLog();
  const worker = createWorker({
    source: createStreamingPullSource(connection, { subscription: channel.subscription }),
    sink,
    topic: channel.topic,
    deadLetterTopic: channel.deadLetterTopic,
    inbox: newInbox(),
    onSettled: settled.add,
  });
  onTestFinished(async () => void (await worker.stop()));
  worker.handle(channel.job(), async () => {
    runs += 1;
    return done();
  });
  await worker.start();
  await settled.final(1);
  expect(runs).toBe(1);
  expect(await lab.rows()).toEqual([]);
  // One that fails while nobody listens has the id of the one that makes up for it.
  const sends = (await channel.spans()).filter(
    ({ name, status }) => name.startsWith('send') && status.code !== 'ERROR',
  );
  expect(sends.map(({ attributes }) => attributes['throughline.outbox.sends'])).toContain(2);
  expect(new Set(sends.map(({ spanId }) => spanId)).size).toBe(sends.length);
});

test('a relay that is killed between publishing and marking sends again, with the same span, and the job runs once', async () => {
  await inSpan('place order', {}, () => enqueue('a'));
  const doomed = await startDoomed(['test/outbox/relay-main.ts'], {
    DATABASE_URL: db.url,
    PUBSUB_EMULATOR_HOST: stage.host,
    GOOGLE_CLOUD_PROJECT: stage.connection.projectId,
  });
  expect(await lab.rows()).toMatchObject([{ is_sent: false, sends: 0 }]);
  await doomed.kill();
  await relay();
  await lab.sent(1);
  let runs = 0;
  const parents: unknown[] = [];
  await channel.work(
    (worker) =>
      worker.handle(channel.job(), async () => {
        runs += 1;
        return done();
      }),
    {
      inbox: newInbox(),
      onSettled: (delivery, outcome) => {
        parents.push(delivery.message.attributes['traceparent']);
        channel.settled.add(delivery, outcome);
      },
    },
  );
  const settled = await channel.settled.final(2);
  expect(new Set(settled.map(({ messageId }) => messageId)).size).toBe(2);
  expect(runs).toBe(1);
  const [sent] = (await channel.spans()).filter(({ name }) => name.startsWith('send'));
  expect(new Set(parents)).toEqual(new Set([`00-${sent?.traceId}-${sent?.spanId}-01`]));
  expect(await channel.tree()).toBe(
    [
      'place order [shop]',
      '  send jobs [shop]',
      '    process jobs [shop] attempt=1 link:producer→send jobs',
    ].join('\n'),
  );
  expect(await lab.rows()).toEqual([]);
});
