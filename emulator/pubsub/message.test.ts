import { expect, test } from 'vitest';
import { addAttributes, checkMessage, encodePublishTime, Message, stampMessage } from './message.ts';
import { delimitedField, varintField } from './wire.ts';

const attribute = (key: string, value: string) =>
  delimitedField(2, Buffer.concat([delimitedField(1, key), delimitedField(2, value)]));
const message = (...fields: Buffer[]) => Buffer.concat([delimitedField(1, 'data'), ...fields]);

test('counts bytes, not characters', () => {
  expect(checkMessage(message(attribute('k', 'é'.repeat(512))))).toBe('');
  expect(() => checkMessage(message(attribute('k', 'é'.repeat(513))))).toThrow(/length is 1026/);
});

test('refuses an empty attribute key', () => {
  expect(() => checkMessage(message(attribute('', 'x')))).toThrow(/empty key/);
});

test('reads the ordering key and steps over fields that it does not know', () => {
  expect(checkMessage(message(delimitedField(5, 'key'), varintField(15, 300)))).toBe('key');
});

test.each([[[0x0a]], [[0x0a, 0x05, 0x00]], [[0x0b]], [[0x08, 0xff]]])(
  'refuses bytes that are no message: %j',
  (bytes) => {
    expect(() => checkMessage(Buffer.from(bytes))).toThrow(/not a well-formed/);
  },
);

test('writes and reads an attribute without a value', () => {
  const { attributes } = new Message(message(attribute('a', '')), '', { id: '1', publishedAtMs: 0 });
  expect(Object.fromEntries(attributes)).toEqual({ a: '' });
});

test('lets an added attribute replace one of the same key', () => {
  const bytes = addAttributes(message(attribute('a', 'old'), attribute('b', 'kept')), { a: 'new' });
  const { attributes } = new Message(bytes, '', { id: '1', publishedAtMs: 0 });
  expect(Object.fromEntries(attributes)).toEqual({ a: 'new', b: 'kept' });
});

test('stamps the time to the nanosecond field even when it is a whole second', () => {
  const stamped = stampMessage(message(), '7', encodePublishTime(2_000));
  const time = Buffer.concat([varintField(1, 2), varintField(2, 0)]);
  expect(stamped.subarray(message().length)).toEqual(
    Buffer.concat([delimitedField(3, '7'), delimitedField(4, time)]),
  );
});
