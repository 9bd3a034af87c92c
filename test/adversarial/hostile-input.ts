import fc from 'fast-check';

/** Generators of what a careless or hostile publisher may put into a message. */

export interface HostileMessage {
  readonly data: Uint8Array;
  readonly attributes: Readonly<Record<string, string>>;
}

const NUL_TO_DEL = [
  '\u0000',
  '\u0007',
  '\b',
  '\n',
  '\r\n',
  '\u001b[31mred\u001b[0m',
  '\u001b]0;title\u0007',
  '\u007f',
  '\u009b2J',
];
const NAMES_OF_OBJECTS = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'valueOf'];
const ODD_UNICODE = ['😀', '\u202egnp.exe', '\ufeff', 'e\u0301', '𝔘', '\ufffd', 'ß', '漢字'];

export const oddText: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(
    ...NUL_TO_DEL,
    ...NAMES_OF_OBJECTS,
    ...ODD_UNICODE,
    ' ',
    'null',
    'undefined',
    '%',
    '%00',
    '-1',
  ),
  fc.string({ unit: 'grapheme', maxLength: 60 }),
  fc.string({ unit: 'binary-ascii', maxLength: 60 }),
);

const hex = (length: number) =>
  fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length });

const wellFormed = fc
  .tuple(hex(32), hex(16), hex(2))
  .map(([trace, span, flags]) => `00-${trace}-${span}-${flags}`);

/** Close to right, which is harder to refuse than noise. */
const nearlyTraceparent = fc.oneof(
  wellFormed,
  wellFormed.map((header) => header.toUpperCase()),
  wellFormed.map((header) => `ff${header.slice(2)}`),
  wellFormed.map((header) => `01${header.slice(2)}-what-the-future-holds`),
  wellFormed.map((header) => `${header}-more`),
  wellFormed.map((header) => ` ${header} `),
  wellFormed.map((header) => `${header}\n${header}`),
  wellFormed.map((header) => `${header},${header}`),
  wellFormed.map((header) => header.replaceAll('-', '_')),
  fc
    .tuple(wellFormed, fc.nat({ max: 54 }), oddText)
    .map(([header, at, odd]) => header.slice(0, at) + odd + header.slice(at + 1)),
  fc.tuple(wellFormed, fc.nat({ max: 54 })).map(([header, length]) => header.slice(0, length)),
  fc.constant(`00-${'0'.repeat(32)}-${'0'.repeat(16)}-01`),
  fc.constant(`00-${'a'.repeat(32)}-${'0'.repeat(16)}-01`),
  fc.constant(`00-${'0'.repeat(32)}-${'a'.repeat(16)}-01`),
  oddText,
);

const tracestate = fc.oneof(
  fc.constantFrom('', '=', ',,,', 'a=', '=b', 'ot=rv:zz', 'UPPER=1', 'a=1,a=2,a=3', 'a@b@c=1', 'k= , ='),
  fc
    .array(fc.tuple(hex(3), oddText), { maxLength: 40 })
    .map((pairs) => pairs.map((pair) => pair.join('=')).join(',')),
  oddText,
);

const baggage = fc.oneof(
  fc.constantFrom(
    '=;,,;=',
    'order.event_id',
    'order.event_id=',
    'order.event_id=%E0%A4%A',
    'order.event_id=%ED%A0%80',
    'order.event_id=%00%1b%5B31m',
    'order.event_id=a,order.event_id=b',
    '__proto__=x,constructor=y,order.event_id=z',
    `order.event_id=${'x'.repeat(900)}`,
    'saga.id=1;propagate=yes;ttl=0',
  ),
  fc
    .array(fc.tuple(oddText, oddText), { maxLength: 30 })
    .map((pairs) => pairs.map((pair) => pair.join('=')).join(',')),
  oddText,
);

/** Text that Pub/Sub would take as an attribute's value. */
const withinLimit = (text: fc.Arbitrary<string>, maxBytes = 1_024): fc.Arbitrary<string> =>
  text.map((value) => {
    const wellFormedValue = value.toWellFormed();
    return Buffer.byteLength(wellFormedValue) <= maxBytes
      ? wellFormedValue
      : wellFormedValue.slice(0, maxBytes / 4);
  });

const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined, freq: 3 });

/** The context headers, each there or not, in one spelling or another. */
const headers = fc.record({
  traceparent: optional(nearlyTraceparent),
  Traceparent: optional(wellFormed),
  googclient_traceparent: optional(nearlyTraceparent),
  googclient_tracestate: optional(tracestate),
  tracestate: optional(tracestate),
  baggage: optional(baggage),
});

const envelope = (jobType: string) =>
  fc.record({
    'ce-type': fc.oneof(
      { weight: 4, arbitrary: fc.constant<string | undefined>(jobType) },
      fc.constantFrom(
        undefined,
        '',
        jobType.replace(/v1$/, 'v2'),
        jobType.replace(/v1$/, 'v99999999999'),
        `${jobType}\u0000`,
        jobType.toUpperCase(),
      ),
      oddText,
    ),
    'ce-id': optional(oddText),
    'ce-subject': optional(oddText),
    'ce-specversion': optional(fc.constantFrom('1.0', '0.3', '')),
    'ce-time': optional(oddText),
    'content-type': optional(fc.constantFrom('application/json', 'text/html', '')),
    'dead-letter-reason': optional(oddText),
  });

const others = fc.dictionary(
  withinLimit(oddText, 256).filter(
    (key) => key.length > 0 && !/^goog/i.test(key) && !/^(ce-|trace|baggage)/i.test(key),
  ),
  withinLimit(oddText),
  { maxKeys: 12, noNullPrototype: true },
);

const payload: fc.Arbitrary<Uint8Array> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ text: oddText }).map(json) },
  fc.record({ text: oddText, more: fc.jsonValue() }).map(json),
  fc.jsonValue().map(json),
  fc
    .constantFrom(
      '',
      ' ',
      '{',
      '{"text":',
      '{"text":"x"}}',
      '\ufeff{"text":"x"}',
      '{"text":"\\ud800"}',
      '{"__proto__":{"text":"x"}}',
      '{"text":1e999}',
      '😀',
      '"\\ud83d',
      'NaN',
    )
    .map((text) => Buffer.from(text)),
  fc.constant(Buffer.from(`${'['.repeat(50_000)}${']'.repeat(50_000)}`)),
  fc.uint8Array({ maxLength: 60 }),
  fc.constant(Buffer.from([0xff, 0xfe, 0x7b, 0x7d])),
  fc.constant(Buffer.from([0xed, 0xa0, 0x80])),
);

function json(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value) ?? '');
}

/** A message that Pub/Sub itself would accept, about a job of the type `jobType`. */
export function hostileMessage(jobType: string): fc.Arbitrary<HostileMessage> {
  return fc.tuple(others, envelope(jobType), headers, payload).chain(([other, own, context, data]) => {
    const texts = Object.entries({ ...own, ...context }).filter(
      (entry): entry is [string, string] => entry[1] !== undefined,
    );
    return fc.tuple(...texts.map(([, value]) => withinLimit(fc.constant(value)))).map((values) => {
      const attributes = {
        ...other,
        ...Object.fromEntries(texts.map(([key], index) => [key, values[index] ?? ''])),
      };
      const isEmpty = data.length === 0 && Object.keys(attributes).length === 0;
      return { data: isEmpty ? Buffer.from(' ') : data, attributes };
    });
  });
}

/** The same beyond every limit that Pub/Sub sets, for what stands behind another broker, or a broker with a fault. */
export function unlimitedMessage(jobType: string): fc.Arbitrary<HostileMessage> {
  const long = fc.tuple(oddText, fc.constantFrom(1, 200, 9_000)).map(([text, times]) => text.repeat(times));
  const loneSurrogate = fc.constantFrom('\ud800', 'a\udc00b', '\ud83d');
  const keys = fc.constantFrom(
    'traceparent',
    'tracestate',
    'baggage',
    'ce-id',
    'ce-subject',
    'ce-type',
    'x',
    'googclient_traceparent',
    'GOOGlike',
  );
  const extra = fc.dictionary(keys, fc.oneof(long, loneSurrogate), { maxKeys: 4 });
  const crowd = fc
    .constantFrom(0, 101, 300)
    .map((count) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, 'v'])));
  return fc.tuple(hostileMessage(jobType), extra, crowd).map(([message, more, many]) => ({
    data: message.data,
    attributes: { ...message.attributes, ...many, ...more },
  }));
}
