import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkMessage } from '../shared/pubsub/limits.ts';
import type { IncomingMessage } from '../shared/pubsub/message-source.ts';
import { incoming } from '../test/fakes/delivery.ts';
import { fromDeadLetter, toDeadLetter } from './dead-letter.ts';

const details = {
  reason: 'PARTNER_DOWN: no answer',
  errorType: 'PARTNER_DOWN',
  attempts: 5,
  subscription: 'jobs-worker',
  traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
};

/** What a reader of the dead-letter topic gets. */
function buried(message: Partial<IncomingMessage>, more = {}): IncomingMessage {
  const dead = toDeadLetter(incoming(message), { ...details, ...more });
  checkMessage(dead);
  return incoming({ orderingKey: undefined, ...dead, id: 'dead-1' });
}

function many(count: number, value = 'v'): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, value]));
}

test('tells why, how often, where and in which span, beside what the message was', () => {
  const data = Buffer.from([1, 2, 0, 255]);
  const dead = buried({ id: 'm7', data, attributes: { 'ce-id': 'job-1' }, orderingKey: 'order-1' });
  expect(dead.attributes).toEqual({
    'ce-id': 'job-1',
    'dead-letter-reason': details.reason,
    'dead-letter-error-type': 'PARTNER_DOWN',
    'dead-letter-attempts': '5',
    'dead-letter-subscription': 'jobs-worker',
    'dead-letter-message-id': 'm7',
    'dead-letter-traceparent': details.traceparent,
  });
  expect(dead).toMatchObject({ data, orderingKey: 'order-1' });
  expect(fromDeadLetter(dead)).toEqual({ data, attributes: { 'ce-id': 'job-1' }, orderingKey: 'order-1' });
});

test('says nothing of a span that there was not', () => {
  expect(buried({}, { traceparent: undefined }).attributes).not.toHaveProperty('dead-letter-traceparent');
});

test('a message without an ordering key gets none', () => {
  expect(fromDeadLetter(buried({}))).not.toHaveProperty('orderingKey');
});

test.each([
  ['94, beside which there is room', many(94)],
  ['95, beside which there is none', many(95)],
  ['100', many(100)],
  ['100 of the largest', many(100, 'ü'.repeat(512))],
  ['values that Pub/Sub would refuse now', { big: 'x'.repeat(5_000) }],
])('attributes come back whole: %s', (_what, attributes) => {
  const data = Buffer.from('{"line": 1}\n{"line": 2}\n');
  expect(fromDeadLetter(buried({ data, attributes }))).toEqual({ data, attributes });
});

test('keys that Pub/Sub refuses from publishers are stripped, folded or not', () => {
  const reserved = { googclient_traceparent: 'x', GoogFoo: 'y' };
  expect(fromDeadLetter(buried({ attributes: { ...reserved, a: 'b' } })).attributes).toEqual({ a: 'b' });
  expect(fromDeadLetter(buried({ attributes: { ...reserved, ...many(98) } })).attributes).toEqual(many(98));
});

test('a message that dies a second time tells only its second death', () => {
  const again = buried(buried({ attributes: { a: 'b' } }), { reason: 'second', traceparent: undefined });
  expect(again.attributes['dead-letter-reason']).toBe('second');
  expect(again.attributes).not.toHaveProperty('dead-letter-traceparent');
  expect(fromDeadLetter(again).attributes).toEqual({ a: 'b' });
});

test.each([
  ['one byte a character', 'x'],
  ['two', 'ü'],
  ['three', '漢'],
  ['four', '🎈'],
])('a long reason is cut at the boundary of a character: %s', (_what, char) => {
  for (const before of ['', 'a', 'ab', 'abc']) {
    const reason = buried({}, { reason: before + char.repeat(2_000) }).attributes['dead-letter-reason'] ?? '';
    expect(Buffer.byteLength(reason)).toBeLessThanOrEqual(1_024);
    expect(Buffer.byteLength(reason)).toBeGreaterThan(990);
    expect(reason.isWellFormed()).toBe(true);
    expect(reason).not.toContain('\ufffd');
    expect(reason).toMatch(/…$/);
  }
});

test('a reason that fits is not cut', () => {
  const reason = 'x'.repeat(1_000);
  expect(buried({}, { reason }).attributes['dead-letter-reason']).toBe(reason);
});

test('any message that Pub/Sub can deliver comes back as it was, within the limits', () => {
  const key = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 60 })
    .filter((text) => !/^goog/i.test(text) && !text.startsWith('dead-letter-'));
  const attributes = fc.dictionary(key, fc.string({ unit: 'grapheme', maxLength: 250 }), { maxKeys: 100 });
  fc.assert(
    fc.property(attributes, fc.uint8Array(), fc.string({ unit: 'binary' }), (given, data, reason) => {
      const back = fromDeadLetter(buried({ attributes: given, data: Buffer.from(data) }, { reason }));
      expect(Buffer.from(back.data)).toEqual(Buffer.from(data));
      expect({ ...back.attributes }).toEqual({ ...given });
    }),
  );
});

describe('a letter that somebody else wrote', () => {
  test.each([
    ['without a first line', Buffer.from('no line')],
    ['whose first line is not JSON', Buffer.from('{"a":\nrest')],
    ['whose first line is no object', Buffer.from('[1]\nrest')],
    ['whose first line holds more than strings', Buffer.from('{"a":{"b":1}}\nrest')],
    ['whose first line is null', Buffer.from('null\nrest')],
  ])('is taken as it is when it claims to be folded: %s', (_what, data) => {
    const attributes = { 'dead-letter-folded': 'attributes', 'ce-id': 'job-1' };
    expect(fromDeadLetter({ data, attributes, orderingKey: undefined })).toEqual({
      data,
      attributes: { 'ce-id': 'job-1' },
    });
  });
});
