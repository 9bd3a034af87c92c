import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startTestTelemetry, type TestTelemetry } from '../../test/fakes/telemetry.ts';
import { ThroughlineError } from '../errors.ts';
import { inSpan } from './in-span.ts';
import { errorMessage, errorType, recordError } from './record-error.ts';
import { tracer } from './tracer.ts';

class CardRefusedError extends ThroughlineError {
  override readonly name = 'CardRefusedError';
  readonly code = 'CARD_REFUSED';
}

const unprintable = Object.create(null);
const explosive = {
  toString: () => {
    throw new Error('no');
  },
};

describe('the type of an error', () => {
  test.each([
    ['its stable code', new CardRefusedError('x'), 'CARD_REFUSED'],
    ["a system error's code", Object.assign(new Error('x'), { code: 'ECONNRESET' }), 'ECONNRESET'],
    ['the name of a gRPC status', Object.assign(new Error('x'), { code: 14 }), 'UNAVAILABLE'],
    [
      'the class where the code is another number',
      Object.assign(new RangeError('x'), { code: 404 }),
      'RangeError',
    ],
    ['the class where the code is empty', Object.assign(new TypeError('x'), { code: '' }), 'TypeError'],
    ['_OTHER where the name is no name', Object.assign(new Error('x'), { name: '' }), '_OTHER'],
    ['_OTHER for a string', 'x', '_OTHER'],
    ['_OTHER for nothing', undefined, '_OTHER'],
    ['_OTHER for what cannot be printed', unprintable, '_OTHER'],
  ])('is %s', (_what, error, type) => {
    expect(errorType(error)).toBe(type);
  });
});

test.each([
  ['an error', new Error('broken'), 'broken'],
  ['a string', 'broken', 'broken'],
  ['nothing', undefined, 'undefined'],
  ['a symbol', Symbol('s'), 'Symbol(s)'],
  ['an object without a prototype', unprintable, '[object Object]'],
  ['an object that refuses to be printed', explosive, '[object Object]'],
])('the message of %s can be told', (_what, thrown, message) => {
  expect(errorMessage(thrown)).toBe(message);
});

describe('on a span', () => {
  let telemetry: TestTelemetry;
  beforeEach(() => {
    telemetry = startTestTelemetry();
  });
  afterEach(() => telemetry.stop());

  test('is status, error.type and an exception event', async () => {
    const failing = inSpan('work', {}, async () => {
      throw new CardRefusedError('no credit');
    });
    await expect(failing).rejects.toThrow('no credit');
    const span = await telemetry.span('work');
    expect(span).toMatchObject({
      status: { code: 'ERROR', message: 'no credit' },
      attributes: { 'error.type': 'CARD_REFUSED' },
    });
    expect(span.events).toMatchObject([
      {
        name: 'exception',
        attributes: { 'exception.type': 'CARD_REFUSED', 'exception.message': 'no credit' },
      },
    ]);
  });

  test.each([['a string'], [undefined], [null], [unprintable], [explosive]])(
    'records %j too',
    async (thrown) => {
      const span = tracer().startSpan('work');
      expect(() => recordError(span, thrown)).not.toThrow();
      span.end();
      expect((await telemetry.span('work')).status.code).toBe('ERROR');
      expect((await telemetry.span('work')).events).toHaveLength(1);
    },
  );
});
