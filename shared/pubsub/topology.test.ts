import { describe, expect, test } from 'vitest';
import { grpcError, stubConnection } from '../../test/fakes/stub-connection.ts';
import { grpcStatus } from './grpc-status.ts';
import { applyTopology, diffTopology, formatChange, jobTopology, TopologyConflictError } from './topology.ts';

/** A Pub/Sub that has these resources. */
function having(topics: readonly string[], subscriptions: Readonly<Record<string, object>>) {
  const missing = () => Promise.reject(grpcError(grpcStatus.NOT_FOUND));
  return stubConnection({
    publisher: {
      getTopic: async ({ topic }) => (topics.includes(String(topic)) ? [{ name: topic }] : missing()),
      createTopic: async () => [{}],
    },
    subscriber: {
      getSubscription: async ({ subscription }) => {
        const found = subscriptions[String(subscription)];
        return found ? [{ name: subscription, ...found }] : missing();
      },
      createSubscription: async () => [{}],
      updateSubscription: async () => [{}],
    },
  });
}

const wanted = {
  topics: [{ name: 'jobs' }],
  subscriptions: [
    {
      name: 'worker',
      topic: 'jobs',
      ackDeadlineMs: 60_000,
      deadLetter: { topic: 'dead', maxDeliveryAttempts: 20 },
    },
  ],
};
const asWanted = {
  topic: 'projects/p/topics/jobs',
  ackDeadlineSeconds: 60,
  enableMessageOrdering: false,
  filter: '',
  deadLetterPolicy: { deadLetterTopic: 'projects/p/topics/dead', maxDeliveryAttempts: 20 },
  retryPolicy: null,
  messageRetentionDuration: { seconds: '604800', nanos: 0 },
};
const SUBSCRIPTION = 'projects/p/subscriptions/worker';
const TOPIC = 'projects/p/topics/jobs';

const changing = (calls: readonly (readonly [string, unknown])[]) =>
  calls.filter(([name]) => !name.startsWith('get'));

test('what is as declared has no difference, and applying it changes nothing', async () => {
  const { connection, calls } = having([TOPIC], { [SUBSCRIPTION]: asWanted });
  expect(await diffTopology(connection, wanted)).toEqual([]);
  expect(await applyTopology(connection, wanted)).toEqual([]);
  expect(changing(calls)).toEqual([]);
});

test('what is missing is created, topics first', async () => {
  const { connection, calls } = having([], {});
  const changes = await applyTopology(connection, wanted);
  expect(changes.map(formatChange)).toEqual(['+ topic jobs', '+ subscription worker']);
  expect(changing(calls).map(([name]) => name)).toEqual(['createTopic', 'createSubscription']);
  expect(changing(calls)[1]?.[1]).toMatchObject({
    name: SUBSCRIPTION,
    topic: TOPIC,
    ackDeadlineSeconds: 60,
    deadLetterPolicy: { deadLetterTopic: 'projects/p/topics/dead', maxDeliveryAttempts: 20 },
    retryPolicy: null,
  });
});

test('what differs is updated, only in the fields that differ', async () => {
  const { connection, calls } = having([TOPIC], {
    [SUBSCRIPTION]: { ...asWanted, ackDeadlineSeconds: 10, retryPolicy: { minimumBackoff: { seconds: 1 } } },
  });
  const [change] = await applyTopology(connection, wanted);
  expect(change && formatChange(change)).toBe(
    '~ subscription worker: ackDeadlineMs 10000 → 60000, retryPolicy {"minBackoffMs":1000,"maxBackoffMs":0} → undefined',
  );
  expect(changing(calls)[0]?.[1]).toMatchObject({
    updateMask: { paths: ['ack_deadline_seconds', 'retry_policy'] },
  });
});

test('a field that Pub/Sub does not let change is a conflict, and nothing at all is changed', async () => {
  const { connection, calls } = having([], {
    [SUBSCRIPTION]: { ...asWanted, filter: 'attributes:x', ackDeadlineSeconds: 10 },
  });
  await expect(applyTopology(connection, wanted)).rejects.toThrow(TopologyConflictError);
  await expect(applyTopology(connection, wanted)).rejects.toThrow('filter "attributes:x" → ""');
  expect(changing(calls)).toEqual([]);
});

test('a topic that was deleted under its subscription is a conflict', async () => {
  const { connection } = having([TOPIC], { [SUBSCRIPTION]: { ...asWanted, topic: '_deleted-topic_' } });
  expect(await diffTopology(connection, wanted)).toMatchObject([{ action: 'conflict' }]);
});

describe('when another process is at it too', () => {
  test('a resource that is there already is as good as created', async () => {
    const { connection } = stubConnection({
      publisher: {
        getTopic: async () => Promise.reject(grpcError(grpcStatus.NOT_FOUND)),
        createTopic: async () => Promise.reject(grpcError(grpcStatus.ALREADY_EXISTS)),
      },
    });
    await expect(applyTopology(connection, { ...wanted, subscriptions: [] })).resolves.toHaveLength(1);
  });

  test('any other answer is thrown', async () => {
    const { connection } = stubConnection({
      publisher: { getTopic: async () => Promise.reject(grpcError(grpcStatus.PERMISSION_DENIED)) },
    });
    await expect(applyTopology(connection, wanted)).rejects.toMatchObject({
      code: grpcStatus.PERMISSION_DENIED,
    });
  });
});

test('the usual shape has a worker, and a dead-letter topic that keeps what it gets', () => {
  expect(jobTopology({ topic: 'jobs', ordered: true })).toEqual({
    topics: [{ name: 'jobs' }, { name: 'jobs-dead-letters' }],
    subscriptions: [
      {
        name: 'jobs-worker',
        topic: 'jobs',
        enableMessageOrdering: true,
        deadLetter: { topic: 'jobs-dead-letters', maxDeliveryAttempts: 20 },
      },
      { name: 'jobs-dead-letters', topic: 'jobs-dead-letters' },
    ],
  });
});
