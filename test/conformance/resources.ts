import { expect } from 'vitest';
import { ALREADY_EXISTS, type Context, INVALID_ARGUMENT, NOT_FOUND, testsFor } from './context.ts';
import { PROJECT, textsOf } from './fixture.ts';

export function topics(context: Context): void {
  const { it } = testsFor(context);
  const named = (id: string) => ({ name: `projects/${PROJECT}/topics/${id}` });

  it('creates a topic once', async (f) => {
    const name = await f.newTopic();
    await expect(f.publisher.createTopic({ name })).rejects.toMatchObject(ALREADY_EXISTS);
  });

  it('refuses names that are too short, have a slash or are not ASCII', async (f) => {
    for (const id of ['ab', 'ab/cd', 'añadido', '1abc', 'googtopic'])
      await expect(f.publisher.createTopic(named(id))).rejects.toMatchObject(INVALID_ARGUMENT);
    await expect(f.publisher.createTopic(named('Abc-_.~+%20'))).resolves.toBeDefined();
  });

  it('reads back what was created, and nothing after deletion', async (f) => {
    const topic = await f.newTopic({
      labels: { team: 'orders' },
      messageRetentionDuration: { seconds: 1200 },
    });
    const [read] = await f.publisher.getTopic({ topic });
    expect(read).toMatchObject({ name: topic, labels: { team: 'orders' } });
    expect(Number(read.messageRetentionDuration?.seconds)).toBe(1200);
    await f.publisher.deleteTopic({ topic });
    await expect(f.publisher.getTopic({ topic })).rejects.toMatchObject(NOT_FOUND);
    await expect(f.publisher.deleteTopic({ topic })).rejects.toMatchObject(NOT_FOUND);
  });

  it('takes a retention from 10 minutes to 31 days', async (f) => {
    const keepFor = (seconds: number) => f.newTopic({ messageRetentionDuration: { seconds } });
    await expect(keepFor(599)).rejects.toMatchObject(INVALID_ARGUMENT);
    await expect(keepFor(31 * 86_400)).resolves.toBeDefined();
    await expect(keepFor(31 * 86_400 + 1)).rejects.toMatchObject(INVALID_ARGUMENT);
  });

  it('updates what the mask names, and refuses masks that are empty or wrong', async (f) => {
    const name = await f.newTopic();
    const topic = { name, messageRetentionDuration: { seconds: 1200 } };
    const update = (...paths: string[]) => f.publisher.updateTopic({ topic, updateMask: { paths } });
    const [updated] = await update('message_retention_duration');
    expect(Number(updated.messageRetentionDuration?.seconds)).toBe(1200);
    for (const paths of [[], ['bogus'], ['name']])
      await expect(update(...paths)).rejects.toMatchObject(INVALID_ARGUMENT);
  });

  it('lists topics and their subscriptions in pages', async (f) => {
    const topic = await f.newTopic();
    const created = [
      await f.newSubscription(topic),
      await f.newSubscription(topic),
      await f.newSubscription(topic),
    ];
    const pages: number[] = [];
    const names: string[] = [];
    let pageToken = '';
    do {
      const request = { topic, pageSize: 2, pageToken };
      const [page, , response] = await f.publisher.listTopicSubscriptions(request, { autoPaginate: false });
      pages.push(page.length);
      names.push(...page);
      pageToken = response?.nextPageToken ?? '';
    } while (pageToken);
    expect(pages).toEqual([2, 1]);
    expect(names.sort()).toEqual(created.sort());
    const [all] = await f.publisher.listTopics({ project: `projects/${PROJECT}` });
    expect(all.map(({ name }) => name)).toContain(topic);
  });
}

export function subscriptions(context: Context): void {
  const { it } = testsFor(context);

  it('reads back what was created', async (f) => {
    const name = f.uniqueName('subscriptions');
    const request = { name, topic: await f.newTopic(), ackDeadlineSeconds: 33, enableMessageOrdering: true };
    const [created] = await f.subscriber.createSubscription(request);
    const [read] = await f.subscriber.getSubscription({ subscription: name });
    expect(created).toMatchObject(request);
    expect(read).toEqual(created);
    const [listed] = await f.subscriber.listSubscriptions({ project: `projects/${PROJECT}` });
    expect(listed.map((subscription) => subscription.name)).toContain(name);
    await expect(f.subscriber.createSubscription(request)).rejects.toMatchObject(ALREADY_EXISTS);
  });

  it('refuses a topic that is missing or malformed', async (f) => {
    await expect(f.newSubscription(f.uniqueName('topics'))).rejects.toMatchObject(NOT_FOUND);
    await expect(f.newSubscription('nope')).rejects.toMatchObject(INVALID_ARGUMENT);
  });

  it('makes up a name when there is none', async (f) => {
    const [created] = await f.subscriber.createSubscription({ topic: await f.newTopic() });
    expect(created.name).toMatch(/^projects\/conformance\/subscriptions\/.+/);
  });

  it('takes ack deadlines from 10 to 600 s, and 0 for 10', async (f) => {
    const topic = await f.newTopic();
    const create = (ackDeadlineSeconds: number) => f.newSubscription(topic, { ackDeadlineSeconds });
    const subscription = await create(0);
    const [read] = await f.subscriber.getSubscription({ subscription });
    expect(read.ackDeadlineSeconds).toBe(10);
    await expect(create(600)).resolves.toBeDefined();
    await expect(create(601)).rejects.toMatchObject(INVALID_ARGUMENT);
    await expect(create(-1)).rejects.toMatchObject(INVALID_ARGUMENT);
  });

  it(
    'refuses an ack deadline of 9 s, when creating and when updating',
    async (f) => {
      const topic = await f.newTopic();
      const tooShort = { ackDeadlineSeconds: 9 };
      await expect(f.newSubscription(topic, tooShort)).rejects.toMatchObject(INVALID_ARGUMENT);
      const name = await f.newSubscription(topic);
      const updateMask = { paths: ['ack_deadline_seconds'] };
      const update = f.subscriber.updateSubscription({ subscription: { name, ...tooShort }, updateMask });
      await expect(update).rejects.toMatchObject(INVALID_ARGUMENT);
    },
    'ackDeadlineMinimum',
  );

  it(
    'takes a retention of 31 days and no more',
    async (f) => {
      const topic = await f.newTopic();
      const keepFor = (seconds: number) =>
        f.newSubscription(topic, { messageRetentionDuration: { seconds } });
      await expect(keepFor(31 * 86_400)).resolves.toBeDefined();
      await expect(keepFor(31 * 86_400 + 1)).rejects.toMatchObject(INVALID_ARGUMENT);
      await expect(keepFor(599)).rejects.toMatchObject(INVALID_ARGUMENT);
    },
    'longRetention',
  );

  it('fills in a retry policy, and bounds it', async (f) => {
    const topic = await f.newTopic();
    const subscription = await f.newSubscription(topic, { retryPolicy: {} });
    const [read] = await f.subscriber.getSubscription({ subscription });
    expect(Number(read.retryPolicy?.minimumBackoff?.seconds)).toBe(10);
    expect(Number(read.retryPolicy?.maximumBackoff?.seconds)).toBe(600);
    for (const retryPolicy of [{ minimumBackoff: { seconds: -1 } }, { maximumBackoff: { seconds: 601 } }])
      await expect(f.newSubscription(topic, { retryPolicy })).rejects.toMatchObject(INVALID_ARGUMENT);
  });

  it('checks the dead-letter policy: the topic exists, 5 to 100 attempts', async (f) => {
    const topic = await f.newTopic();
    const deadLetterTopic = await f.newTopic();
    const create = (maxDeliveryAttempts: number, to = deadLetterTopic) =>
      f.newSubscription(topic, { deadLetterPolicy: { deadLetterTopic: to, maxDeliveryAttempts } });
    await expect(create(5, f.uniqueName('topics'))).rejects.toMatchObject(NOT_FOUND);
    await expect(create(4)).rejects.toBeDefined();
    await expect(create(101)).rejects.toBeDefined();
    const [read] = await f.subscriber.getSubscription({ subscription: await create(0) });
    expect(read.deadLetterPolicy).toMatchObject({ deadLetterTopic, maxDeliveryAttempts: 5 });
  });

  it('updates what the mask names and nothing else', async (f) => {
    const { subscription: name } = await f.newPair({ retryPolicy: {} });
    const [updated] = await f.subscriber.updateSubscription({
      subscription: { name, ackDeadlineSeconds: 45, retainAckedMessages: true },
      updateMask: { paths: ['ack_deadline_seconds', 'retry_policy'] },
    });
    expect(updated.ackDeadlineSeconds).toBe(45);
    expect(updated.retainAckedMessages).toBe(false);
    expect(updated.retryPolicy).toBeNull();
    for (const paths of [[], ['bogus'], ['filter'], ['topic']]) {
      const update = f.subscriber.updateSubscription({ subscription: { name }, updateMask: { paths } });
      await expect(update).rejects.toMatchObject(INVALID_ARGUMENT);
    }
  });

  it(
    'updates labels',
    async (f) => {
      const { subscription: name } = await f.newPair();
      const subscription = { name, labels: { team: 'orders' } };
      const [updated] = await f.subscriber.updateSubscription({
        subscription,
        updateMask: { paths: ['labels'] },
      });
      expect(updated.labels).toEqual({ team: 'orders' });
    },
    'labelUpdates',
  );

  it('answers every call about a missing subscription with NOT_FOUND', async (f) => {
    const subscription = f.uniqueName('subscriptions');
    const ackIds = ['1:1:1'];
    const calls = [
      f.subscriber.getSubscription({ subscription }),
      f.subscriber.deleteSubscription({ subscription }),
      f.subscriber.pull({ subscription, maxMessages: 1 }),
      f.subscriber.acknowledge({ subscription, ackIds }),
      f.subscriber.modifyAckDeadline({ subscription, ackIds, ackDeadlineSeconds: 10 }),
      f
        .stream(subscription)
        .failure()
        .then((error) => Promise.reject(error)),
    ];
    for (const outcome of await Promise.allSettled(calls))
      expect(outcome).toMatchObject({ status: 'rejected', reason: NOT_FOUND });
  });

  it('keeps the subscriptions and the backlog of a deleted topic', async (f) => {
    const { topic, subscription } = await f.newPair();
    const stream = f.stream(await f.newSubscription(topic));
    await f.publish(topic, 'kept');
    await stream.received(1);
    await f.publisher.deleteTopic({ topic });
    const [read] = await f.subscriber.getSubscription({ subscription });
    expect(read.topic).toBe('_deleted-topic_');
    expect(textsOf(await f.pull(subscription, 1))).toEqual(['kept']);
    expect(stream.error).toBeUndefined();
    await expect(f.publish(topic, 'more')).rejects.toMatchObject(NOT_FOUND);
  });

  it('forgets the backlog of a deleted subscription', async (f) => {
    const { topic, subscription: name } = await f.newPair();
    await f.publish(topic, 'lost');
    await f.subscriber.deleteSubscription({ subscription: name });
    await expect(f.subscriber.pull({ subscription: name, maxMessages: 1 })).rejects.toMatchObject(NOT_FOUND);
    await f.subscriber.createSubscription({ name, topic });
    expect(await f.pullNow(name)).toEqual([]);
  });
}
