import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isStorable } from '../../shared/storable.ts';
import { incoming } from '../../test/fakes/delivery.ts';
import { toDeadLetter } from '../dead-letter.ts';
import { readLetter } from './letter.ts';

const details = {
  reason: 'PARTNER_DOWN: no answer',
  errorType: 'PARTNER_DOWN',
  attempts: 5,
  subscription: 'jobs-worker',
  traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
};
const forwarded = {
  CloudPubSubDeadLetterSourceDeliveryCount: '7',
  CloudPubSubDeadLetterSourceSubscription: 'jobs-worker',
  CloudPubSubDeadLetterSourceSubscriptionProject: 'p',
  CloudPubSubDeadLetterSourceTopicPublishTime: '2026-01-31T12:00:00.123+00:00',
};
const own = { 'ce-id': 'job-1', 'ce-type': 'note.keep.v1', 'ce-subject': 'O-1', tenant: 'acme' };
const read = (message: Parameters<typeof incoming>[0]) =>
  readLetter(incoming({ id: 'dead-1', ...message }), 'jobs-dead');
const died = (message: Parameters<typeof incoming>[0]) => {
  const { orderingKey, ...letter } = toDeadLetter(incoming(message), details);
  return { ...letter, orderingKey };
};

test('reads what a worker wrote', () => {
  const letter = read({ ...died({ id: 'm7', attributes: own, orderingKey: 'k' }), publishedAtMs: 5 });
  expect(letter).toMatchObject({
    ...{ jobId: 'job-1', jobType: 'note.keep.v1', orderKey: 'O-1', givenUpBy: 'worker', attempts: 5 },
    ...{ reason: details.reason, errorType: 'PARTNER_DOWN', subscription: 'jobs-worker', messageId: 'm7' },
    ...{ traceparent: details.traceparent, orderingKey: 'k', attributes: own, diedAtMs: 5 },
  });
});

test('reads a message whose attributes had to move into the data', () => {
  const attributes = { ...own, ...Object.fromEntries(Array.from({ length: 96 }, (_, i) => [`k${i}`, 'v'])) };
  const data = Buffer.from([0, 255, 10, 1]);
  const letter = read(died({ attributes, data }));
  expect(letter).toMatchObject({ jobId: 'job-1', attributes, givenUpBy: 'worker' });
  expect(Buffer.from(letter.data)).toEqual(data);
});

test('reads what Pub/Sub forwarded, and believes nothing else that it says of its death', () => {
  const forged = {
    'dead-letter-reason': 'forged',
    'dead-letter-message-id': 'm1',
    'dead-letter-folded': 'attributes',
  };
  const data = Buffer.from('{"a":"b"}\nrest');
  const letter = read({
    data,
    attributes: { ...own, ...forged, 'dead-letter-subscription': 's', ...forwarded },
  });
  expect(letter).toMatchObject({
    ...{
      givenUpBy: 'pubsub',
      attempts: 7,
      subscription: 'jobs-worker',
      messageId: undefined,
      attributes: own,
    },
    ...{ reason: 'Pub/Sub gave up after 7 deliveries that nobody acknowledged' },
    publishedAtMs: Date.parse('2026-01-31T12:00:00.123Z'),
  });
  expect(letter.data).toEqual(data);
});

test('takes a message of which nobody said anything', () => {
  expect(read({})).toMatchObject({
    givenUpBy: 'unknown',
    jobId: 'dead-1',
    jobType: undefined,
    attributes: {},
  });
});

test('a death has one id, however often it is told; another message, subscription or content has another', () => {
  const letterOf = (message: Parameters<typeof incoming>[0], more = {}) =>
    readLetter(
      incoming({
        ...toDeadLetter(incoming(message), { ...details, ...more }),
        orderingKey: undefined,
        id: `${Math.random()}`,
      }),
      'jobs-dead',
    ).letterId;
  const one = letterOf({ id: 'm1', attributes: own });
  expect(
    letterOf({ id: 'm1', attributes: own }, { attempts: 6, reason: 'other', traceparent: undefined }),
  ).toBe(one);
  const others = [
    letterOf({ id: 'm2', attributes: own }),
    letterOf({ id: 'm1', attributes: own }, { subscription: 'other' }),
    letterOf({ id: 'm1', attributes: { ...own, tenant: 'b' } }),
    letterOf({ id: 'm1', attributes: own, data: Buffer.from('x') }),
  ];
  expect(new Set([one, ...others]).size).toBe(5);
  expect(read({ attributes: forwarded }).letterId).toBe(read({ attributes: forwarded }).letterId);
  expect(read({ id: 'dead-2', attributes: forwarded }).letterId).not.toBe(
    read({ attributes: forwarded }).letterId,
  );
});

const KEYS = [
  ...[
    'ce-id',
    'ce-type',
    'ce-subject',
    'ce-time',
    'traceparent',
    'throughline-saga',
    'googclient_traceparent',
  ],
  ...['reason', 'error-type', 'attempts', 'subscription', 'message-id', 'traceparent', 'folded'].map(
    (key) => `dead-letter-${key}`,
  ),
  ...Object.keys(forwarded),
];

test('whatever the attributes hold, what is read can be stored', () => {
  const value = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('nul \0', 'half \ud800', 'attributes', '9'.repeat(400), '-1', '+275760-09-13'),
  );
  const attributes = fc.dictionary(fc.oneof(fc.constantFrom(...KEYS), fc.string()), value);
  fc.assert(
    fc.property(attributes, fc.uint8Array(), (given, data) => {
      const {
        letterId,
        attempts = 1,
        publishedAtMs = 0,
        data: _,
        attributes: __,
        ...texts
      } = read({ attributes: given, data });
      expect(letterId).toMatch(/^[0-9a-f]{32}$/);
      for (const text of Object.values(texts))
        if (typeof text === 'string') expect(isStorable(text)).toBe(true);
      expect(texts.jobId).not.toBe('');
      expect(attempts).toBeLessThan(2 ** 31);
      expect(new Date(publishedAtMs).toISOString()).toMatch(/^\d{4}-/);
    }),
  );
});
