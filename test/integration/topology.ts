import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { applyTopology, diffTopology, jobTopology, TopologyConflictError } from '../../shared/index.ts';
import type { Stage } from '../support/stage.ts';

export function topology(stage: () => Stage): void {
  const declared = (topic: string, ackDeadlineMs: number, filter?: string) => {
    const { topics, subscriptions } = jobTopology({ topic, ordered: true, ...(filter && { filter }) });
    const [work, ...rest] = subscriptions;
    if (!work) throw new Error('a job topology has a subscription');
    return { topics, subscriptions: [{ ...work, ackDeadlineMs }, ...rest] };
  };
  const newTopic = () => `t-${randomUUID()}`;

  test('applied for the first time it creates everything, applied again it changes nothing', async () => {
    const { connection } = stage();
    const topic = newTopic();
    const wanted = declared(topic, 20_000, 'attributes.region = "eu"');
    const made = await applyTopology(connection, wanted);
    expect(made.map(({ action, resource, name }) => `${action} ${resource} ${name}`)).toEqual([
      `create topic ${topic}`,
      `create topic ${topic}-dead-letters`,
      `create subscription ${topic}-worker`,
      `create subscription ${topic}-dead-letters`,
    ]);
    expect(await applyTopology(connection, wanted)).toEqual([]);
  });

  test('several processes may apply it at once', async () => {
    const { connection } = stage();
    const wanted = declared(newTopic(), 20_000);
    await Promise.all(Array.from({ length: 5 }, () => applyTopology(connection, wanted)));
    expect(await diffTopology(connection, wanted)).toEqual([]);
  });

  test('a changed ack deadline is an update of that field alone', async () => {
    const { connection } = stage();
    const topic = newTopic();
    await applyTopology(connection, declared(topic, 20_000));
    const wanted = declared(topic, 40_000);
    const update = {
      action: 'update',
      resource: 'subscription',
      name: `${topic}-worker`,
      fields: [{ field: 'ackDeadlineMs', from: 20_000, to: 40_000 }],
    };
    expect(await diffTopology(connection, wanted)).toEqual([update]);
    expect(await applyTopology(connection, wanted)).toEqual([update]);
    expect(await diffTopology(connection, wanted)).toEqual([]);
  });

  test('a changed filter is a conflict, and then nothing at all is changed', async () => {
    const { connection } = stage();
    const topic = newTopic();
    const before = declared(topic, 20_000, 'attributes.region = "eu"');
    await applyTopology(connection, before);
    const conflicting = declared(topic, 40_000, 'attributes.region = "us"');
    const extra = { topics: [...conflicting.topics, { name: `${topic}-more` }] };
    const error = await applyTopology(connection, { ...conflicting, ...extra }).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(TopologyConflictError);
    expect(error.message).toContain('filter "attributes.region = \\"eu\\"" → "attributes.region = \\"us\\""');
    expect(await diffTopology(connection, before)).toEqual([]);
    expect(
      await diffTopology(connection, extra.topics.length ? { ...before, ...extra } : before),
    ).toMatchObject([{ action: 'create', name: `${topic}-more` }]);
  });

  test('an added retry policy and a changed dead-letter policy are updates', async () => {
    const { connection } = stage();
    const topic = newTopic();
    const before = declared(topic, 20_000);
    await applyTopology(connection, before);
    const deadLetter = { topic: `${topic}-dead-letters`, maxDeliveryAttempts: 50 };
    const retryPolicy = { minBackoffMs: 2_000, maxBackoffMs: 30_000 };
    const subscriptions = before.subscriptions.map((spec, index) =>
      index === 0 ? { ...spec, deadLetter, retryPolicy } : spec,
    );
    const wanted = { ...before, subscriptions };
    const [change] = await applyTopology(connection, wanted);
    expect(change?.fields.map(({ field }) => field).toSorted()).toEqual(['deadLetter', 'retryPolicy']);
    expect(await diffTopology(connection, wanted)).toEqual([]);
  });
}
