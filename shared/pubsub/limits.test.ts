import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  checkMessage,
  MessageLimitError,
  messageBytes,
  ReservedAttributeError,
  withoutReservedAttributes,
} from './limits.ts';
import type { OutgoingMessage } from './message-sink.ts';

const data = new Uint8Array();

function message(attributes: Record<string, string>, more: Partial<OutgoingMessage> = {}): OutgoingMessage {
  return { data, attributes, ...more };
}

function many(count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, 'v']));
}

function limitErrorOf(outgoing: OutgoingMessage): MessageLimitError {
  try {
    checkMessage(outgoing);
  } catch (error) {
    if (error instanceof MessageLimitError) return error;
    throw error;
  }
  throw new Error('the message was accepted');
}

describe('a message at the limit passes, and one beyond it is refused by name:', () => {
  test('100 attributes', () => {
    expect(() => checkMessage(message(many(100)))).not.toThrow();
    expect(limitErrorOf(message(many(101)))).toMatchObject({ field: 'attributes', actual: 101, limit: 100 });
  });

  test.each([
    ['one byte a character', 'k', 256],
    ['two bytes a character', 'ü', 128],
    ['four bytes a character', '🎈', 64],
  ])('a key of 256 bytes, %s', (_what, char, count) => {
    expect(() => checkMessage(message({ [char.repeat(count)]: 'v' }))).not.toThrow();
    const error = limitErrorOf(message({ [`${char.repeat(count)}k`]: 'v' }));
    expect(error).toMatchObject({ actual: 257, limit: 256 });
    expect(error.field).toContain(char.repeat(3));
  });

  test.each([
    ['one byte a character', 'v', 1_024],
    ['two bytes a character', 'ü', 512],
    ['three bytes a character', '漢', 341],
    ['four bytes a character', '🎈', 256],
  ])('a value of 1024 bytes, %s', (_what, char, count) => {
    expect(() => checkMessage(message({ colour: char.repeat(count) }))).not.toThrow();
    const error = limitErrorOf(message({ colour: char.repeat(count + 1) }));
    expect(error).toMatchObject({ field: 'attribute "colour"', limit: 1_024 });
    expect(error.actual).toBe(Buffer.byteLength(char.repeat(count + 1)));
  });

  test('an ordering key of 1024 bytes', () => {
    expect(() => checkMessage(message({}, { orderingKey: 'ü'.repeat(512) }))).not.toThrow();
    expect(limitErrorOf(message({}, { orderingKey: `${'ü'.repeat(512)}x` }))).toMatchObject({
      field: 'ordering key',
      actual: 1_025,
    });
  });

  test('10 MB of data and attributes, counted in bytes', () => {
    const attributes = { ключ: 'значение' }; // 4 + 8 characters, twice as many bytes
    const room = 10_000_000 - 24;
    expect(() => checkMessage(message(attributes, { data: new Uint8Array(room) }))).not.toThrow();
    const error = limitErrorOf(message(attributes, { data: new Uint8Array(room + 1) }));
    expect(error).toMatchObject({ field: 'message', actual: 10_000_001, limit: 10_000_000 });
  });

  test('an attribute with an empty key', () => {
    expect(() => checkMessage(message({ '': 'v' }))).toThrow('empty key');
  });
});

test('agrees with the bytes of any attribute', () => {
  const text = fc.string({ unit: 'binary', minLength: 1, maxLength: 1_100 });
  fc.assert(
    fc.property(text, text, (key, value) => {
      fc.pre(!/^goog/i.test(key));
      const fits = Buffer.byteLength(key) <= 256 && Buffer.byteLength(value) <= 1_024;
      const check = () => checkMessage(message({ [key]: value }));
      if (fits) expect(check).not.toThrow();
      else expect(check).toThrow(MessageLimitError);
    }),
  );
});

describe('keys that Pub/Sub keeps for itself', () => {
  test.each(['goog', 'google-thing', 'GoogleThing', 'googclient_other', 'GOOGCLIENT_TRACEPARENT'])(
    'refuses %s',
    (key) => {
      expect(() => checkMessage(message({ [key]: 'x' }))).toThrow(ReservedAttributeError);
    },
  );

  test("lets those pass that Google's own clients write", () => {
    const written = { googclient_traceparent: 'x', googclient_tracestate: 'y', 'my-goog': 'z' };
    expect(() => checkMessage(message(written))).not.toThrow();
  });

  test('strips all of them, whatever their case, when a message is republished', () => {
    const attributes = { googclient_traceparent: 'x', GoogFoo: 'y', colour: 'red', 'my-goog': 'z' };
    expect(withoutReservedAttributes(attributes)).toEqual({ colour: 'red', 'my-goog': 'z' });
  });
});

test('what a message counts for grows with data, attributes and ordering key', () => {
  const counted = messageBytes({ data: new Uint8Array(10), attributes: { ab: 'cde' }, orderingKey: 'fg' });
  expect(counted).toBe(17);
});
