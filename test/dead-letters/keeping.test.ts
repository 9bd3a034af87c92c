import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { deadLetter, retry } from '../../shared/index.ts';
import { createDeadLetterKeeper, readDeadLetter } from '../../subscriber/index.ts';
import { createMemorySource } from '../fakes/memory-source.ts';
import { gateDatabase } from '../support/gated-database.ts';
import { createLetterLab, forwardByPubSub } from '../support/letter-lab.ts';
import { EMBEDDED } from '../support/pubsub-target.ts';
import { type Stage, startStage } from '../support/stage.ts';
import { createTestDatabase } from '../support/test-database.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await startStage(EMBEDDED);
});
afterAll(() => stage.close());

const isStore = (text: string) => text.startsWith('throughline-dead-letter-store');

test('a job that fails for good is stored with everything that is known of it', async () => {
  const lab = await createLetterLab(stage);
  const { channel } = lab;
  const job = channel.job({ retry: { maxAttempts: 2, minBackoffMs: 5, maxBackoffMs: 10 } });
  await channel.work((worker) => worker.handle(job, async () => retry('the partner is closed')), {
    inbox: lab.inbox(),
  });
  await lab.keep();
  await channel.publisher.publish(
    job,
    { text: 'hello' },
    {
      jobId: 'job-1',
      orderKey: 'O-1',
      attributes: { tenant: 'acme' },
    },
  );
  const [kept] = await lab.kept(1);
  await channel.settled.final(1); // its span has ended
  const letter = await readDeadLetter(lab.database, kept?.letterId ?? '');
  const dead = (await channel.spans()).find(
    ({ kind, attributes }) => kind === 'CONSUMER' && attributes['throughline.job.attempt'] === 2,
  );
  expect(letter).toMatchObject({
    letterId: kept?.letterId,
    state: 'open',
    jobId: 'job-1',
    jobType: 'note.keep.v1',
    orderKey: 'O-1',
    topic: channel.topic,
    subscription: channel.subscription,
    consumer: channel.subscription,
    givenUpBy: 'worker',
    reason: 'gave up after 2 attempts: the partner is closed',
    errorType: 'DEAD_LETTER',
    attempts: 2,
    messageId: expect.stringMatching(/./),
    attributes: { 'ce-id': 'job-1', 'ce-type': 'note.keep.v1', 'ce-subject': 'O-1', tenant: 'acme' },
    traceId: dead?.traceId,
    spanId: dead?.spanId,
    settledAt: undefined,
  });
  expect(letter?.data.toString()).toBe('{"text":"hello"}');
  expect(Object.keys(letter?.attributes ?? {}).filter((key) => key.startsWith('dead-letter'))).toEqual([]);
  const [published, died] = [letter?.publishedAt ?? '', letter?.diedAt ?? ''].map((time) => Date.parse(time));
  expect(died).toBeGreaterThanOrEqual(published ?? Number.NaN);
  expect(await channel.pullNow('dead-letters')).toBe(0);
});

test('a message that Pub/Sub itself forwarded is stored: not JSON, no attributes of ours, deliveries counted', async () => {
  const lab = await createLetterLab(stage, { maxDeliveryAttempts: 5 });
  const { channel } = lab;
  const poison = Buffer.from([0, 255, 254, 0xc3, 0x28, 0]);
  const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
  await stage.connection.publisher.publish({
    topic: `projects/${stage.connection.projectId}/topics/${channel.topic}`,
    messages: [{ data: poison, attributes: { kind: 'nul \0 here', googclient_traceparent: traceparent } }],
  });
  await lab.keep();
  await forwardByPubSub(stage, channel.subscription);
  const [kept] = await lab.kept(1);
  const letter = await readDeadLetter(lab.database, kept?.letterId ?? '');
  expect(letter).toMatchObject({
    givenUpBy: 'pubsub',
    reason: 'Pub/Sub gave up after 5 deliveries that nobody acknowledged',
    attempts: 5,
    jobType: undefined,
    orderKey: undefined,
    subscription: channel.subscription,
    attributes: { kind: 'nul \0 here', googclient_traceparent: traceparent },
    traceId: 'a'.repeat(32),
  });
  expect(letter?.data).toEqual(poison);
  expect(Date.parse(letter?.publishedAt ?? '')).toBeLessThanOrEqual(Date.parse(letter?.diedAt ?? ''));
});

test('a letter that is delivered again, or published twice, is stored once; other messages with its data are not it', async () => {
  const lab = await createLetterLab(stage);
  const { channel } = lab;
  const died = (id: string) => ({
    data: Buffer.from('{}'),
    attributes: {
      'dead-letter-reason': `attempt ${Math.random()}`,
      'dead-letter-subscription': channel.subscription,
      'dead-letter-message-id': id,
      'ce-id': 'job-1',
    },
  });
  await lab.keep();
  const publish = (...messages: ReturnType<typeof died>[]) =>
    channel.sink.publish(channel.deadLetterTopic, messages);
  await publish(died('m1'), died('m1'));
  await publish(died('m1'));
  await publish(died('m2'), { data: Buffer.from('{"forged":1}'), attributes: died('m1').attributes });
  const kept = await lab.kept(5);
  expect(kept.filter(({ isNew }) => isNew)).toHaveLength(3);
  expect(await lab.letters()).toHaveLength(3);
});

test('a letter that cannot be stored is handed back, not lost, and stored when it comes again', async () => {
  const db = await createTestDatabase();
  onTestFinished(() => db.close());
  const database = gateDatabase(db.database);
  const source = createMemorySource();
  const keeper = createDeadLetterKeeper({ database, source, topic: 'jobs' });
  await keeper.start();
  onTestFinished(() => keeper.stop());
  const message = { id: 'm1', data: Buffer.from('x'), attributes: { 'ce-id': 'job-1' } };

  void database.loseStatement(isStore);
  source.deliver(message);
  await source.settled(1);
  void database.loseAnswer(isStore);
  source.deliver(message);
  await source.settled(2);
  source.deliver(message);
  const settlements = await source.settled(3);

  expect(settlements.map(({ kind, afterMs }) => [kind, afterMs])).toEqual([
    ['nack', 5_000],
    ['nack', 5_000],
    ['ack', 0],
  ]);
  const { rows } = await database.query('SELECT job_id FROM throughline.dead_letter');
  expect(rows).toEqual([{ job_id: 'job-1' }]);
});

test('one letter that PostgreSQL refuses does not keep its neighbours from being stored', async () => {
  const db = await createTestDatabase();
  onTestFinished(() => db.close());
  await db.database.query(
    `ALTER TABLE throughline.dead_letter ADD CONSTRAINT never CHECK (job_id <> 'refused')`,
  );
  const source = createMemorySource();
  const keeper = createDeadLetterKeeper({ database: db.database, source, topic: 'jobs' });
  await keeper.start();
  onTestFinished(() => keeper.stop());
  for (const id of ['a', 'refused', 'b']) source.deliver({ id, attributes: { 'ce-id': id } });
  const settlements = await source.settled(3);
  const by = Object.fromEntries(settlements.map(({ message, kind }) => [message.id, kind]));
  expect(by).toEqual({ a: 'ack', refused: 'nack', b: 'ack' });
});

test('what is being stored when the keeper stops is stored and acked, and nothing is taken any more', async () => {
  const db = await createTestDatabase();
  onTestFinished(() => db.close());
  const database = gateDatabase(db.database);
  const source = createMemorySource();
  const keeper = createDeadLetterKeeper({ database, source, topic: 'jobs' });
  await keeper.start();
  const hold = database.hold(isStore);
  source.deliver({ id: 'm1' });
  await hold.reached;
  const stopped = keeper.stop();
  source.deliver({ id: 'm2' });
  hold.letGo();
  await stopped;
  expect(source.settlements.map(({ message, kind }) => [message.id, kind])).toEqual([
    ['m2', 'nack'],
    ['m1', 'ack'],
  ]);
  expect(source.calls).toEqual(['start', 'pause', 'close']);
});

test('letters that died long ago are forgotten, and whoever lets open ones expire is told', async () => {
  const db = await createTestDatabase();
  onTestFinished(() => db.close());
  const { database } = db;
  await database.query(`
    INSERT INTO throughline.dead_letter (id, state, job_id, topic, given_up_by, reason, data, attributes, died_at)
    SELECT age || state, state, 'j', 't', 'worker', 'r', '', '{}', now() - age * interval '1 day'
    FROM unnest(ARRAY[29, 31]) age, unnest(ARRAY['open', 'dropped']) state`);
  const expired = (state: string) => stage.counter('throughline.dead_letters.expired', { state });
  const before = await expired('open');
  const keeper = createDeadLetterKeeper({ database, source: createMemorySource(), topic: 't' });
  await keeper.start();
  await keeper.stop(); // waits for the sweep that the start began
  const { rows } = await database.query<{ id: string }>('SELECT id FROM throughline.dead_letter ORDER BY id');
  expect(rows.map(({ id }) => id)).toEqual(['29dropped', '29open']);
  expect((await expired('open')) - before).toBe(1);
});

test('every series is there at 0 before anything happens, and the gauge counts what is open', async () => {
  const db = await createTestDatabase();
  onTestFinished(() => db.close());
  const source = { ...createMemorySource(), subscription: 'quiet-dead' };
  const keeper = createDeadLetterKeeper({ database: db.database, source, topic: 'quiet' });
  await keeper.start();
  onTestFinished(() => keeper.stop());
  const destination = { 'messaging.destination.name': 'quiet' };
  const subscription = { 'messaging.destination.subscription.name': 'quiet-dead' };
  for (const [name, labels] of [
    ...['worker', 'pubsub', 'unknown'].map((by) => ['kept', { ...subscription, given_up_by: by }] as const),
    ['unkept', { ...subscription, 'error.type': 'DATABASE_UNAVAILABLE' }],
    ['expired', { state: 'open' }],
    ['redriven', destination],
    ['dropped', destination],
    ['open', destination],
  ] as const)
    expect(await stage.labelSets(`throughline.dead_letters.${name}`)).toContainEqual(labels);
  expect(await stage.counter('throughline.dead_letters.open', destination)).toBe(0);
  await db.database.query(`
    INSERT INTO throughline.dead_letter (id, state, job_id, topic, given_up_by, reason, data, attributes, died_at)
    SELECT n, CASE n WHEN 3 THEN 'dropped' ELSE 'open' END, 'j', 'quiet', 'worker', 'r', '', '{}', now() FROM generate_series(1, 3) n`);
  expect(await stage.counter('throughline.dead_letters.open', destination)).toBe(2);
});

test('deadLetter outcomes of jobs that no handler knows are stored as well', async () => {
  const lab = await createLetterLab(stage);
  const { channel } = lab;
  await channel.work((worker) => worker.handle(channel.job(), async () => deadLetter('never')), {
    inbox: lab.inbox(),
  });
  await lab.keep();
  await channel.publishPlainly('hello', { 'ce-type': 'stranger.v1', 'ce-id': 's-1' });
  await lab.kept(1);
  expect(await lab.letters()).toMatchObject([
    { jobId: 's-1', jobType: 'stranger.v1', errorType: 'JOB_UNKNOWN' },
  ]);
});
