import {
  type Context,
  createTraceState,
  propagation,
  ROOT_CONTEXT,
  type SpanContext,
  type TextMapPropagator,
  trace,
} from '@opentelemetry/api';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startTestTelemetry, type TestTelemetry } from '../../test/fakes/telemetry.ts';
import { extractContext, injectContext } from './message-context.ts';
import { orderKeyOf, withOrderKey } from './order-key.ts';

const OURS: SpanContext = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: 1 };
const GOOGLES: SpanContext = { traceId: 'a'.repeat(32), spanId: 'c'.repeat(16), traceFlags: 1 };
const header = ({ traceId, spanId }: SpanContext) => `00-${traceId}-${spanId}-01`;
const inSpan = trace.setSpanContext(ROOT_CONTEXT, OURS);

let telemetry: TestTelemetry;
beforeEach(() => {
  telemetry = startTestTelemetry();
});
afterEach(() => telemetry.stop());

const dropped = (part: string) => telemetry.sum('throughline.context.dropped', { part });
const malformed = (attribute: string) => telemetry.sum('throughline.context.malformed', { attribute });

function injected(from: Context, before = 0, options = {}): Record<string, string> {
  const attributes = Object.fromEntries(Array.from({ length: before }, (_, i) => [`own-${i}`, 'x']));
  injectContext(attributes, from, options);
  return Object.fromEntries(Object.entries(attributes).filter(([key]) => !key.startsWith('own-')));
}

function withState(value: string): Context {
  return trace.setSpanContext(ROOT_CONTEXT, { ...OURS, traceState: createTraceState(value) });
}

/** One header, `x-trace: {traceId}/{spanId}`. */
const customPropagator: TextMapPropagator = {
  inject: (from, carrier, setter) => {
    const span = trace.getSpanContext(from);
    if (span) setter.set(carrier, 'x-trace', `${span.traceId}/${span.spanId}`);
  },
  extract: (from, carrier, getter) => {
    const [traceId = '', spanId = ''] = String(getter.get(carrier, 'x-trace') ?? '').split('/');
    return trace.setSpanContext(from, { traceId, spanId, traceFlags: 1, isRemote: true });
  },
  fields: () => ['x-trace'],
};

const brokenPropagator: TextMapPropagator = {
  inject: () => {
    throw new Error('cannot inject');
  },
  extract: () => {
    throw new Error('cannot extract');
  },
  fields: () => [],
};

function use(propagator: TextMapPropagator): void {
  propagation.disable();
  propagation.setGlobalPropagator(propagator);
}

describe('writing', () => {
  test('comes back as it went', () => {
    const attributes = injected(withOrderKey(withState('vendor=1'), 'ünïque order', 'saga-1'));
    const read = extractContext(attributes);
    expect(read).toMatchObject({ source: 'own', googleClient: undefined });
    expect(read.parent).toMatchObject({ ...OURS, isRemote: true });
    expect(read.parent?.traceState?.get('vendor')).toBe('1');
    expect(orderKeyOf(read.context)).toBe('ünïque order');
    expect(propagation.getBaggage(read.context)?.getEntry('saga.id')?.value).toBe('saga-1');
  });

  test("keeps the message's own attributes and writes nothing where there is no context", () => {
    const attributes = { colour: 'red' };
    injectContext(attributes, ROOT_CONTEXT);
    expect(attributes).toEqual({ colour: 'red' });
  });

  test('lets only the listed baggage members cross', () => {
    const baggage = propagation.createBaggage({ 'order.event_id': { value: 'o' }, password: { value: 'p' } });
    const from = propagation.setBaggage(inSpan, baggage);
    expect(injected(from)['baggage']).toBe('order.event_id=o');
    expect(injected(from, 0, { baggageKeys: ['password'] })['baggage']).toBe('password=p');
    expect(injected(from, 0, { baggageKeys: [] })).not.toHaveProperty('baggage');
  });

  test('never writes a traceparent that readers must refuse, whatever flags a caller sent', () => {
    const { context } = extractContext({ traceparent: `00-${OURS.traceId}-${OURS.spanId}-ff` });
    expect(extractContext(injected(context)).parent).toMatchObject({ spanId: OURS.spanId, traceFlags: 3 });
  });
});

describe('short of room', () => {
  const full = withOrderKey(withState('vendor=1'), 'order-1');

  test.each([
    { before: 97, left: ['baggage', 'traceparent', 'tracestate'] },
    { before: 98, left: ['traceparent', 'tracestate'] },
    { before: 99, left: ['traceparent'] },
    { before: 100, left: ['traceparent'] },
  ])('beside $before attributes leaves $left', ({ before, left }) => {
    expect(Object.keys(injected(full, before)).sort()).toEqual(left);
  });

  test('counts each part that it drops', async () => {
    injected(full, 98);
    injected(full, 99);
    expect(await dropped('baggage')).toBe(2);
    expect(await dropped('tracestate')).toBe(1);
    injected(full, 97);
    expect(await dropped('baggage')).toBe(2);
  });

  test('drops the last baggage member first where all of them pass 1024 bytes', async () => {
    const wide = 'ü'.repeat(120); // 720 bytes when encoded
    const attributes = injected(withOrderKey(inSpan, wide, wide));
    expect(attributes['baggage']).toBe(`order.event_id=${encodeURIComponent(wide)}`);
    expect(await dropped('baggage')).toBe(1);
  });

  test('drops a single baggage member that is too long by itself', async () => {
    const attributes = injected(withOrderKey(inSpan, '漢'.repeat(150))); // 1350 bytes when encoded
    expect(attributes).toEqual({ traceparent: header(OURS) });
    expect(await dropped('baggage')).toBe(1);
  });

  test('drops a tracestate that no attribute can hold', async () => {
    const traceState = { ...createTraceState(), serialize: () => `v=${'x'.repeat(1_023)}` };
    const attributes = injected(trace.setSpanContext(ROOT_CONTEXT, { ...OURS, traceState } as SpanContext));
    expect(attributes).toEqual({ traceparent: header(OURS) });
    expect(await dropped('tracestate')).toBe(1);
  });

  test("gives up Google's copies before its own headers' parent", () => {
    const options = { interop: 'google' };
    expect(Object.keys(injected(full, 95, options))).toHaveLength(5);
    expect(Object.keys(injected(full, 97, options)).sort()).toEqual([
      'googclient_traceparent',
      'traceparent',
    ]);
    expect(injected(full, 99, options)).toEqual({ traceparent: header(OURS) });
  });
});

describe("Google's client", () => {
  test('is written to only when asked', () => {
    const written = injected(withState('vendor=1'), 0, { interop: 'google' });
    expect(written['googclient_traceparent']).toBe(header(OURS));
    expect(written['googclient_tracestate']).toBe('vendor=1');
    expect(injected(withState('vendor=1'))).not.toHaveProperty('googclient_traceparent');
  });

  test('alone is the parent', () => {
    const read = extractContext({ googclient_traceparent: header(GOOGLES), baggage: 'order.event_id=o' });
    expect(read).toMatchObject({ source: 'google-client', googleClient: undefined });
    expect(read.parent?.spanId).toBe(GOOGLES.spanId);
    expect(trace.getSpanContext(read.context)?.spanId).toBe(GOOGLES.spanId);
    expect(orderKeyOf(read.context)).toBe('o');
  });

  test('is not linked when it says the same', () => {
    const read = extractContext({ traceparent: header(OURS), googclient_traceparent: header(OURS) });
    expect(read).toMatchObject({ source: 'own', googleClient: undefined });
  });

  test('is linked, and not the parent, when it says something else', () => {
    const read = extractContext({ traceparent: header(OURS), googclient_traceparent: header(GOOGLES) });
    expect(read).toMatchObject({ source: 'own', parent: { spanId: OURS.spanId }, googleClient: GOOGLES });
  });

  test('is linked when only its trace differs', () => {
    const other = { ...OURS, traceId: 'd'.repeat(32) };
    const read = extractContext({ traceparent: header(OURS), googclient_traceparent: header(other) });
    expect(read.googleClient?.traceId).toBe(other.traceId);
  });

  test('stands in when our own header is malformed', async () => {
    const read = extractContext({ traceparent: 'nonsense', googclient_traceparent: header(GOOGLES) });
    expect(read).toMatchObject({ source: 'google-client', parent: { spanId: GOOGLES.spanId } });
    expect(await malformed('traceparent')).toBe(1);
  });

  test('is ignored and counted when malformed', async () => {
    const read = extractContext({ traceparent: header(OURS), googclient_traceparent: 'x' });
    expect(read).toMatchObject({ source: 'own', googleClient: undefined });
    expect(await malformed('googclient_traceparent')).toBe(1);
    expect(await malformed('traceparent')).toBe(0);
  });
});

describe('reading what strangers wrote', () => {
  test('knows no parent without headers, and counts nothing', async () => {
    expect(extractContext({ colour: 'red' })).toMatchObject({ source: 'none', parent: undefined });
    expect(await malformed('traceparent')).toBe(0);
  });

  test.each([
    '',
    'garbage',
    `00-${'0'.repeat(32)}-${OURS.spanId}-01`,
    `00-${OURS.traceId}-${'0'.repeat(16)}-01`,
    `ff-${OURS.traceId}-${OURS.spanId}-01`,
    `00-${OURS.traceId}-${OURS.spanId}-01-more`,
    `${header(OURS)}\n${header(OURS)}`,
    'x'.repeat(1_024),
  ])('begins a new trace for traceparent %j and counts it', async (traceparent) => {
    expect(extractContext({ traceparent })).toMatchObject({ source: 'none', parent: undefined });
    expect(await malformed('traceparent')).toBe(1);
  });

  test('takes no baggage member that is not listed or too long to be an identifier', () => {
    const baggage = `order.event_id=${'x'.repeat(257)},admin=true,saga.id=s`;
    const { context } = extractContext({ traceparent: header(OURS), baggage });
    expect(propagation.getBaggage(context)?.getAllEntries()).toEqual([['saga.id', { value: 's' }]]);
  });

  test('neither throws nor yields an invalid span for any attributes', () => {
    const key = fc.constantFrom('traceparent', 'tracestate', 'baggage', 'googclient_traceparent', 'ce-id');
    const value = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 1_024 }),
      fc.stringMatching(/^(00|01|cc|ff)-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-x)?$/),
      fc.stringMatching(/^(order\.event_id=[ -~]{0,300})(,saga\.id=%[0-9A-F]{2}){0,3}$/),
    );
    fc.assert(
      fc.property(fc.dictionary(key, value), (attributes) => {
        const { context, parent, googleClient } = extractContext(attributes);
        expect(trace.getSpanContext(context)).toBe(parent);
        for (const span of [parent, googleClient]) {
          if (span) expect(trace.isSpanContextValid(span)).toBe(true);
        }
        const again = injected(context);
        expect(extractContext(again).parent?.spanId).toBe(parent?.spanId);
        expect(orderKeyOf(extractContext(again).context)).toBe(orderKeyOf(context));
        for (const written of Object.values(again))
          expect(Buffer.byteLength(written)).toBeLessThanOrEqual(1_024);
      }),
    );
  });
});

describe('another propagator than W3C', () => {
  test('is used for writing and reading', () => {
    use(customPropagator);
    const attributes = injected(inSpan);
    expect(attributes).toEqual({ 'x-trace': `${OURS.traceId}/${OURS.spanId}` });
    expect(extractContext(attributes)).toMatchObject({ source: 'own', parent: { spanId: OURS.spanId } });
  });

  test('that yields an invalid span yields none', () => {
    use(customPropagator);
    const read = extractContext({ 'x-trace': 'nonsense' });
    expect(read).toMatchObject({ source: 'none', parent: undefined });
    expect(trace.getSpanContext(read.context)).toBeUndefined();
  });

  test('does not make a stranger W3C header a malformed one', async () => {
    use(customPropagator);
    extractContext({ traceparent: header(OURS) });
    expect(await malformed('traceparent')).toBe(0);
  });

  test('that throws costs the headers and not the message', () => {
    use(brokenPropagator);
    expect(injected(inSpan)).toEqual({});
    expect(extractContext({ traceparent: header(OURS) })).toMatchObject({
      source: 'none',
      parent: undefined,
    });
  });
});
