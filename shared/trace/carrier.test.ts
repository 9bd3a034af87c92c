import { context, propagation, ROOT_CONTEXT, type SpanContext, trace } from '@opentelemetry/api';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startTestTelemetry, type TestTelemetry } from '../../test/fakes/telemetry.ts';
import { type Carrier, captureCarrier, carrierSchema, restoreCarrier, spanContextOf } from './carrier.ts';
import { orderKeyOf, withOrderKey } from './order-key.ts';

const SPAN: SpanContext = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: 1 };
const TRACEPARENT = `00-${SPAN.traceId}-${SPAN.spanId}-01`;
const inSpan = trace.setSpanContext(ROOT_CONTEXT, SPAN);

let telemetry: TestTelemetry;
beforeEach(() => {
  telemetry = startTestTelemetry();
});
afterEach(() => telemetry.stop());

describe('capturing', () => {
  test('writes the span and the order key, and survives JSON', () => {
    const carrier = captureCarrier(withOrderKey(inSpan, 'order 1, ünïque; "quoted"', 'saga-1'));
    const restored = restoreCarrier(carrierSchema.parse(JSON.parse(JSON.stringify(carrier))));
    expect(trace.getSpanContext(restored)).toMatchObject({ ...SPAN, isRemote: true });
    expect(orderKeyOf(restored)).toBe('order 1, ünïque; "quoted"');
    expect(propagation.getBaggage(restored)?.getEntry('saga.id')?.value).toBe('saga-1');
  });

  test('takes the active context unless told otherwise', () => {
    expect(context.with(inSpan, () => captureCarrier())).toEqual({ traceparent: TRACEPARENT });
  });

  test('is empty where there is neither span nor baggage', () => {
    expect(captureCarrier(ROOT_CONTEXT)).toEqual({});
  });

  test('takes only the baggage members on the list', () => {
    const baggage = propagation.createBaggage({ 'order.event_id': { value: 'o' }, secret: { value: 's' } });
    const from = propagation.setBaggage(inSpan, baggage);
    expect(captureCarrier(from).baggage).toBe('order.event_id=o');
    expect(captureCarrier(from, { baggageKeys: ['secret'] }).baggage).toBe('secret=s');
    expect(captureCarrier(from, { baggageKeys: [] })).toEqual({ traceparent: TRACEPARENT });
  });

  test('leaves out what a stranger hung onto an allowed member', () => {
    const headers = { traceparent: TRACEPARENT, baggage: `order.event_id=o;${'x'.repeat(3_000)}` };
    expect(captureCarrier(restoreCarrier(headers)).baggage).toBe('order.event_id=o');
  });

  test('does not lose the saga id to an order key that is no valid Unicode', () => {
    const carrier = captureCarrier(withOrderKey(inSpan, 'half \ud83d', 'saga-1'));
    expect(restoredBaggage(carrier)).toEqual({ 'order.event_id': 'half \ufffd', 'saga.id': 'saga-1' });
  });

  test.each(['02', '03', '10', '80', 'ff'])(
    'writes a traceparent that can be read when a caller sent flags %s',
    (flags) => {
      const received = restoreCarrier({ traceparent: `00-${SPAN.traceId}-${SPAN.spanId}-${flags}` });
      const again = spanContextOf(captureCarrier(received));
      expect(again).toMatchObject({ traceId: SPAN.traceId, spanId: SPAN.spanId });
      expect((again?.traceFlags ?? 0) & 1).toBe(Number.parseInt(flags, 16) & 1);
    },
  );
});

describe('restoring', () => {
  test.each([
    ['nothing', undefined],
    ['null', null],
    ['a string', TRACEPARENT],
    ['a number', 7],
    ['an array', [TRACEPARENT]],
    ['an empty object', {}],
    ['a nested value', { traceparent: { traceparent: TRACEPARENT } }],
    ['an array of headers', { traceparent: [TRACEPARENT] }],
    ['a stringified SpanContext', { traceId: SPAN.traceId, spanId: SPAN.spanId }],
    ['inherited headers', Object.create({ traceparent: TRACEPARENT })],
    ['a truncated header', { traceparent: TRACEPARENT.slice(0, -1) }],
    ['an all-zero trace id', { traceparent: `00-${'0'.repeat(32)}-${SPAN.spanId}-01` }],
    ['version ff', { traceparent: `ff-${SPAN.traceId}-${SPAN.spanId}-01` }],
    ['upper case', { traceparent: TRACEPARENT.toUpperCase() }],
    ['a header that throws when read', throwingCarrier()],
  ])('gives the base for %s', (_what, carrier) => {
    const base = withOrderKey(ROOT_CONTEXT, 'base');
    const restored = restoreCarrier(carrier as Carrier, { base });
    expect(trace.getSpanContext(restored)).toBeUndefined();
    expect(orderKeyOf(restored)).toBe('base');
    expect(spanContextOf(carrier as Carrier)).toBeUndefined();
  });

  test('puts the carrier on top of the base', () => {
    const base = trace.setSpanContext(withOrderKey(ROOT_CONTEXT, 'base'), {
      ...SPAN,
      spanId: 'c'.repeat(16),
    });
    const restored = restoreCarrier({ traceparent: TRACEPARENT, baggage: 'order.event_id=mine' }, { base });
    expect(trace.getSpanContext(restored)?.spanId).toBe(SPAN.spanId);
    expect(orderKeyOf(restored)).toBe('mine');
  });

  test('takes only the baggage members on the list', () => {
    const carrier = { traceparent: TRACEPARENT, baggage: 'order.event_id=o,secret=s,__proto__=p' };
    expect(restoredBaggage(carrier)).toEqual({ 'order.event_id': 'o' });
    expect(propagation.getBaggage(restoreCarrier({ baggage: 'secret=s' }))).toBeUndefined();
  });

  test("keeps the base's order key when the carrier brings only foreign baggage", () => {
    const base = withOrderKey(ROOT_CONTEXT, 'base');
    expect(orderKeyOf(restoreCarrier({ traceparent: TRACEPARENT, baggage: 'secret=s' }, { base }))).toBe(
      'base',
    );
  });

  test('never throws and never yields an invalid span, whatever the carrier holds', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom('traceparent', 'tracestate', 'baggage', 'x'), hostile()),
        (carrier) => {
          const restored = restoreCarrier(carrier as Carrier);
          const span = trace.getSpanContext(restored);
          if (span) expect(trace.isSpanContextValid(span)).toBe(true);
          expect(() => captureCarrier(restored)).not.toThrow();
        },
      ),
    );
  });
});

test('the schema refuses what is no carrier', () => {
  expect(carrierSchema.safeParse({ traceparent: 1 }).success).toBe(false);
  expect(carrierSchema.safeParse([]).success).toBe(false);
  expect(carrierSchema.safeParse({ traceparent: 'x'.repeat(10_000) }).success).toBe(false);
  expect(carrierSchema.safeParse({}).success).toBe(true);
});

test('without telemetry a capture is empty and a restore is the base', async () => {
  await telemetry.stop();
  expect(captureCarrier(inSpan)).toEqual({});
  expect(restoreCarrier({ traceparent: TRACEPARENT })).toBe(ROOT_CONTEXT);
});

function restoredBaggage(carrier: Carrier): Record<string, string> {
  const entries = propagation.getBaggage(restoreCarrier(carrier))?.getAllEntries() ?? [];
  return Object.fromEntries(entries.map(([key, { value }]) => [key, value]));
}

function throwingCarrier(): unknown {
  return Object.defineProperty({}, 'traceparent', {
    enumerable: true,
    get: () => {
      throw new Error('no');
    },
  });
}

function hostile(): fc.Arbitrary<unknown> {
  return fc.oneof(
    fc.anything(),
    fc.string({ unit: 'binary', maxLength: 300 }),
    fc.stringMatching(/^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/),
    fc.stringMatching(
      /^(order\.event_id|saga\.id|x)=[ -~]{0,20}(,(order\.event_id|saga\.id)=%[0-9A-F]{2})?$/,
    ),
  );
}
