import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { defineJob } from './define.ts';
import {
  AttributeConflictError,
  checkPayload,
  decodePayload,
  type EnvelopeFields,
  encodeJob,
  PayloadError,
  readHeader,
} from './envelope.ts';

const job = defineJob({
  name: 'mail.send',
  version: 2,
  topic: 'jobs',
  payload: z.strictObject({ to: z.string(), copies: z.number().default(1) }),
});
const anything = defineJob({ name: 'any', version: 1, topic: 'jobs', payload: z.any() });
const fields: EnvelopeFields = { jobId: 'job-1', source: 'shop', orderKey: 'order-1', attributes: undefined };

const bytes = (text: string) => new TextEncoder().encode(text);

function payloadErrorOf(work: () => unknown): PayloadError {
  try {
    work();
  } catch (error) {
    if (error instanceof PayloadError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('encoding', () => {
  test('writes a CloudEvent in binary mode', () => {
    const { data, attributes } = encodeJob(job, { to: 'ü' }, { ...fields, attributes: { colour: 'red' } });
    expect(Buffer.from(data).toString('utf8')).toBe('{"to":"ü"}');
    expect(attributes).toEqual({
      'ce-specversion': '1.0',
      'ce-id': 'job-1',
      'ce-type': 'mail.send.v2',
      'ce-source': 'shop',
      'ce-subject': 'order-1',
      'ce-time': expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      'content-type': 'application/json',
      colour: 'red',
    });
  });

  test('leaves out the subject of a job without an order', () => {
    expect(encodeJob(job, {}, { ...fields, orderKey: undefined }).attributes).not.toHaveProperty(
      'ce-subject',
    );
  });

  test.each(['ce-id', 'ce-type', 'content-type', 'traceparent', 'tracestate', 'baggage', 'ce-subject'])(
    'refuses the attribute %s from the caller',
    (attribute) => {
      const encode = () => encodeJob(job, {}, { ...fields, attributes: { [attribute]: 'x' } });
      expect(encode).toThrow(AttributeConflictError);
      expect(encode).toThrow(`"${attribute}"`);
    },
  );

  test("does not touch the caller's attributes", () => {
    const attributes = { colour: 'red' };
    encodeJob(job, {}, { ...fields, attributes });
    expect(attributes).toEqual({ colour: 'red' });
  });

  const circular: Record<string, unknown> = {};
  circular['self'] = circular;
  test.each([
    ['nothing', undefined],
    ['a function', () => {}],
    ['a bigint', { amount: 1n }],
    ['a circle', circular],
  ])('refuses a payload that JSON cannot hold: %s', (_what, payload) => {
    const error = payloadErrorOf(() => encodeJob(anything, payload, fields));
    expect(error.message).toContain('any.v1');
  });
});

describe('decoding', () => {
  test('gives what the schema makes of what was encoded', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (to) => {
        expect(decodePayload(job, encodeJob(job, { to }, fields).data)).toEqual({ to, copies: 1 });
      }),
    );
  });

  test('any JSON value comes back', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const { data } = encodeJob(anything, value, fields);
        expect(decodePayload(anything, data)).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  test.each([
    ['what is not UTF-8', Uint8Array.of(0x7b, 0xff, 0x7d), 'UTF-8'],
    ['half a character', bytes('"ü"').subarray(0, 2), 'UTF-8'],
    ['what is not JSON', bytes('{"to":'), 'JSON'],
    ['nothing at all', new Uint8Array(), 'JSON'],
    ['two values', bytes('{} {}'), 'JSON'],
  ])('refuses %s and says why', (_what, data, why) => {
    const error = payloadErrorOf(() => decodePayload(job, data));
    expect(error).toMatchObject({ code: 'PAYLOAD_INVALID', jobType: 'mail.send.v2', retryable: false });
    expect(error.message).toContain(why);
    expect(error.cause).toBeInstanceOf(Error);
  });

  test('any bytes give a payload or a PayloadError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (data) => {
        try {
          decodePayload(job, data);
        } catch (error) {
          expect(error).toBeInstanceOf(PayloadError);
        }
      }),
    );
  });

  test('names every field that does not fit', () => {
    const error = payloadErrorOf(() => checkPayload(job, { copies: 'many' }));
    expect(error.issues.join('\n')).toMatch(/^to: /m);
    expect(error.issues.join('\n')).toMatch(/^copies: /m);
    expect(payloadErrorOf(() => checkPayload(job, 7)).issues[0]).toMatch(/^\(payload\): /);
  });

  test('stays short when a hostile payload is wrong in ten thousand places', () => {
    const list = defineJob({ name: 'l', version: 1, topic: 't', payload: z.array(z.number()) });
    const manyWrong = Array.from({ length: 10_000 }, () => 'x');
    expect(payloadErrorOf(() => checkPayload(list, manyWrong)).message.length).toBeLessThan(5_000);
    const manyKeys = Object.fromEntries(manyWrong.map((_, i) => [`unknown-${i}`, 1]));
    expect(payloadErrorOf(() => checkPayload(job, { to: 'x', ...manyKeys })).message.length).toBeLessThan(
      5_000,
    );
  });
});

test('the header tells type, id and subject, and takes an empty attribute for none', () => {
  expect(readHeader({ 'ce-type': 't.v1', 'ce-id': 'i', 'ce-subject': 's' })).toEqual({
    type: 't.v1',
    jobId: 'i',
    orderKey: 's',
  });
  const nothing = { type: undefined, jobId: undefined, orderKey: undefined };
  expect(readHeader({})).toEqual(nothing);
  expect(readHeader({ 'ce-type': '', 'ce-id': '', 'ce-subject': '' })).toEqual(nothing);
});
