import { expect, test } from 'vitest';
import { readSpans } from './otlp-spans.ts';

const ids = { traceId: 'A'.repeat(32), spanId: 'b'.repeat(16) };
const read = (span: object, resource: object = {}) => {
  const [record] = readSpans({ resourceSpans: [{ resource, scopeSpans: [{ spans: [span] }] }] }).spans;
  if (!record) throw new Error('the span was rejected');
  return record;
};
const value = (any: object) => read({ ...ids, attributes: [{ key: 'key', value: any }] }).attributes['key'];

test('needs nothing but ids, which it writes in lower case', () => {
  expect(read(ids)).toEqual({
    traceId: 'a'.repeat(32),
    spanId: 'b'.repeat(16),
    name: '',
    kind: 'INTERNAL',
    service: 'unknown_service',
    startMs: 0,
    endMs: 0,
    status: { code: 'UNSET' },
    attributes: {},
    events: [],
    links: [],
  });
});

test.each([
  ['text', { stringValue: 'a' }, 'a'],
  ['empty text', { stringValue: '' }, ''],
  ['a truth value', { boolValue: false }, false],
  ['an integer as text', { intValue: '42' }, 42],
  ['an integer as number', { intValue: -42 }, -42],
  ['an integer beyond 2^53', { intValue: '9007199254740993' }, '9007199254740993'],
  ['a fraction', { doubleValue: 0.5 }, 0.5],
  ['bytes', { bytesValue: 'aGk=' }, 'aGk='],
  ['a list', { arrayValue: { values: [{ intValue: 1 }, { stringValue: 'b' }] } }, [1, 'b']],
  ['an empty list', { arrayValue: {} }, []],
  ['a map', { kvlistValue: { values: [{ key: 'a', value: { boolValue: true } }] } }, { a: true }],
  ['nothing', {}, undefined],
])('reads %s', (_, any, expected) => {
  expect(value(any)).toEqual(expected);
});

test.each([
  ['1700000000123456789', 1_700_000_000_123.4568],
  [1_700_000_000_123_456_800, 1_700_000_000_123.4568],
])('keeps the microseconds of %s', (startTimeUnixNano, ms) => {
  const micros = (time: number) => Math.round(time * 1_000);
  expect(micros(read({ ...ids, startTimeUnixNano }).startMs)).toBe(micros(ms));
});

test('leaves out a span whose own or parent id is invalid, and counts it', () => {
  const bad = ['cc', 'zz', 5].map((parentSpanId) => ({ ...ids, parentSpanId }));
  const spans = [...bad, { ...ids, spanId: 'b'.repeat(15) }, { spanId: ids.spanId }];
  expect(readSpans({ resourceSpans: [{ scopeSpans: [{ spans }] }] })).toEqual({
    spans: [],
    rejectedSpans: 5,
  });
});

test('takes kinds and status codes as numbers and as names', () => {
  expect(read({ ...ids, kind: 4 }).kind).toBe('PRODUCER');
  expect(read({ ...ids, kind: 'SPAN_KIND_CONSUMER' }).kind).toBe('CONSUMER');
  expect(read({ ...ids, kind: 99 }).kind).toBe('INTERNAL');
  expect(read({ ...ids, status: { code: 2, message: 'm' } }).status).toEqual({ code: 'ERROR', message: 'm' });
  expect(read({ ...ids, status: { code: 'STATUS_CODE_OK' } }).status).toEqual({ code: 'OK' });
});

test('keeps the parent, takes zeros for none, and drops links to nowhere', () => {
  expect(read({ ...ids, parentSpanId: 'c'.repeat(16) }).parentSpanId).toBe('c'.repeat(16));
  expect(read({ ...ids, parentSpanId: '0'.repeat(16) })).not.toHaveProperty('parentSpanId');
  const links = [{ ...ids, attributes: [] }, { traceId: ids.traceId, spanId: '0'.repeat(16) }, {}];
  expect(read({ ...ids, links }).links).toEqual([
    { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), attributes: {} },
  ]);
});

test("lets no attribute reach the record's prototype", () => {
  const attributes = [{ key: '__proto__', value: { kvlistValue: { values: [{ key: 'polluted' }] } } }];
  const record = read({ ...ids, attributes });
  expect(Object.getPrototypeOf(record.attributes)).toBe(Object.prototype);
  expect(Object.keys(record.attributes)).toEqual(['__proto__']);
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
});

test.each([
  [{ ...ids, name: 5 }],
  [{ ...ids, attributes: {} }],
  [{ ...ids, events: [7] }],
  [{ ...ids, startTimeUnixNano: 'soon' }],
  [{ ...ids, endTimeUnixNano: 1.5 }],
  [{ ...ids, attributes: [{ key: 'a', value: { intValue: 'x' } }] }],
])('refuses the wrong shape %j', (span) => {
  expect(() => read(span)).toThrow(expect.objectContaining({ name: 'MalformedOtlpError' }));
});
