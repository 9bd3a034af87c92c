import { createHash } from 'node:crypto';
import { createTraceState, ROOT_CONTEXT, SamplingDecision, SpanKind, trace } from '@opentelemetry/api';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { withOrderKey } from './order-key.ts';
import { OtTraceState, otValues, readOtTraceState } from './ot-trace-state.ts';
import { createOrderSampler, keeping, randomnessOfOrder, thresholdOf } from './sampling.ts';

const { RECORD, RECORD_AND_SAMPLED } = SamplingDecision;
const LOW_TRACE = 'a'.repeat(18) + '0'.repeat(14);
const HIGH_TRACE = 'a'.repeat(18) + 'f'.repeat(14);

function decide(context = ROOT_CONTEXT, { keep = 0.05, traceId = LOW_TRACE } = {}) {
  return createOrderSampler({ keep }).shouldSample(context, traceId, 'x', SpanKind.INTERNAL, {}, []);
}

function below(tracestate: string | undefined, { traceFlags = 0, isRemote = true, key = '' } = {}) {
  const traceState = tracestate === undefined ? {} : { traceState: createTraceState(tracestate) };
  const parent = { traceId: LOW_TRACE, spanId: 'b'.repeat(16), traceFlags, isRemote, ...traceState };
  const context = trace.setSpanContext(ROOT_CONTEXT, parent);
  return key === '' ? context : withOrderKey(context, key);
}

/** The first of `order-0`, `order-1`, … that a keep of 5 % keeps, or drops. */
function orderThatIs(kept: boolean): string {
  for (let number = 0; number < 1_000; number++)
    if (randomnessOfOrder(`order-${number}`) >= thresholdOf(0.05) === kept) return `order-${number}`;
  throw new Error('none of a thousand');
}

describe('the threshold', () => {
  test.each([
    [1, '00000000000000'],
    [0.5, '80000000000000'],
    [0.25, 'c0000000000000'],
    [0.05, 'f3333000000000'],
    [0.001, 'ffbe76d0000000'],
  ])('of keeping %d is %s', (keep, threshold) => {
    const rounded = thresholdOf(keep);
    expect(Math.abs(Number.parseInt(rounded, 16) - Number.parseInt(threshold, 16)) / 2 ** 56).toBeLessThan(
      keep * 1e-3,
    );
    expect(rounded).toMatch(/^[0-9a-f]{14}$/);
  });

  test('rejects everything when nothing is to be kept, also the highest randomness', () => {
    expect('f'.repeat(14) >= thresholdOf(0)).toBe(false);
    expect(decide(ROOT_CONTEXT, { keep: 0, traceId: HIGH_TRACE }).decision).toBe(RECORD);
  });

  test('keeps its share, within a fiftieth of it, whatever the share is', () => {
    const share = fc.double({ min: 1e-9, max: 1, noNaN: true });
    fc.assert(
      fc.property(share, (keep) => {
        const kept = 1 - Number(BigInt(`0x${thresholdOf(keep)}`)) / 2 ** 56;
        expect(Math.abs(kept - keep)).toBeLessThanOrEqual(keep / 50);
      }),
    );
  });
});

describe('of an order', () => {
  test('the randomness is the first 56 bits of the SHA-256 of its key', () => {
    const expected = createHash('sha256').update('café-1').digest('hex').slice(0, 14);
    expect(randomnessOfOrder('café-1')).toBe(expected);
    expect(otValues(decide(withOrderKey(ROOT_CONTEXT, 'café-1')).traceState).rv).toBe(expected);
  });

  test('5 of 100 are kept', () => {
    const orders = Array.from({ length: 20_000 }, (_, number) => withOrderKey(ROOT_CONTEXT, `O-${number}`));
    const kept = orders.filter((context) => decide(context).decision === RECORD_AND_SAMPLED).length;
    expect(kept / orders.length).toBeGreaterThan(0.045);
    expect(kept / orders.length).toBeLessThan(0.055);
  });

  test('every trace and every process decides the same', () => {
    const property = fc.property(fc.string({ minLength: 1, maxLength: 64 }), (key) => {
      const here = decide(withOrderKey(ROOT_CONTEXT, key), { traceId: LOW_TRACE });
      const there = decide(withOrderKey(ROOT_CONTEXT, key), { traceId: HIGH_TRACE });
      const child = decide(
        below(here.traceState?.serialize() ?? 'x=1', { key, traceFlags: here.decision === RECORD ? 0 : 1 }),
      );
      expect([there.decision, child.decision]).toEqual([here.decision, here.decision]);
    });
    fc.assert(property);
  });

  test('a kept one says its threshold, a dropped one only its randomness', () => {
    expect(decide(withOrderKey(ROOT_CONTEXT, orderThatIs(true))).traceState?.serialize()).toMatch(
      /^ot=rv:[0-9a-f]{14};th:f3333$/,
    );
    expect(decide(withOrderKey(ROOT_CONTEXT, orderThatIs(false))).traceState?.serialize()).toMatch(
      /^ot=rv:[0-9a-f]{14}$/,
    );
  });

  test('its own coin counts in a request that was decided before it was known', () => {
    const dropped = below('ot=th:f3333', { key: orderThatIs(false), traceFlags: 1, isRemote: false });
    expect(decide(dropped).decision).toBe(RECORD);
    const kept = below(undefined, { key: orderThatIs(true), traceFlags: 0, isRemote: false });
    expect(decide(kept).decision).toBe(RECORD_AND_SAMPLED);
  });

  test('an order that somebody kept against its coin is kept by whoever comes after', () => {
    const key = orderThatIs(false);
    const parent = below(`ot=rv:${randomnessOfOrder(key)}`, { key, traceFlags: 1 });
    expect(decide(parent).decision).toBe(RECORD_AND_SAMPLED);
  });

  test('a trace that somebody without coins had sampled stays whole', () => {
    expect(decide(below('vendor=1', { key: orderThatIs(false), traceFlags: 1 })).decision).toBe(
      RECORD_AND_SAMPLED,
    );
  });

  test("other vendors' members and OpenTelemetry's other values stay", () => {
    const key = orderThatIs(true);
    const { traceState } = decide(below('vendor=1,ot=p:8;rv:00000000000000;th:1', { key }));
    expect(traceState?.get('vendor')).toBe('1');
    expect(traceState?.get('ot')).toBe(`rv:${randomnessOfOrder(key)};th:f3333;p:8`);
  });
});

describe('without an order', () => {
  test("a root draws from its trace id's last 56 bits", () => {
    expect(decide(ROOT_CONTEXT, { traceId: LOW_TRACE }).decision).toBe(RECORD);
    const kept = decide(ROOT_CONTEXT, { traceId: HIGH_TRACE });
    expect(kept.decision).toBe(RECORD_AND_SAMPLED);
    expect(kept.traceState?.serialize()).toBe('ot=th:f3333');
  });

  test("the parent's decision is followed", () => {
    expect(decide(below(undefined, { traceFlags: 1 })).decision).toBe(RECORD_AND_SAMPLED);
    expect(decide(below(undefined), { traceId: HIGH_TRACE }).decision).toBe(RECORD);
  });
});

test('what is to be kept is, and says why unless its parent was kept already', () => {
  const key = orderThatIs(false);
  const unsampled = decide(keeping(below(undefined, { key }), 'retried'));
  expect(unsampled).toMatchObject({
    decision: RECORD_AND_SAMPLED,
    attributes: { 'throughline.kept': 'retried' },
  });
  const sampled = decide(keeping(below(undefined, { key, traceFlags: 1 }), 'retried'));
  expect(sampled).toMatchObject({ decision: RECORD_AND_SAMPLED, attributes: {} });
});

describe('a hostile tracestate', () => {
  const hostile = fc.oneof(
    fc.string(),
    fc.string().map((text) => `ot=${text}`),
    fc.string().map((text) => `ot=rv:${text};th:${text}`),
    fc.constantFrom(
      'ot=',
      'ot=rv',
      'ot=rv:',
      'ot=rv:XYZ;th:-1',
      `ot=${'rv:0;'.repeat(500)}`,
      'ot=rv:0123456789abcdef',
    ),
  );

  test('neither throws nor decides anything for an order', () => {
    const property = fc.property(hostile, fc.boolean(), (header, kept) => {
      const key = orderThatIs(kept);
      const expected = kept ? RECORD_AND_SAMPLED : RECORD;
      expect(decide(below(header, { key })).decision).toBe(expected);
      const own = readOtTraceState(header);
      if (own) expect(otValues(own)).toEqual(otValues(createTraceState(header)));
    });
    fc.assert(property, { numRuns: 500 });
  });

  test('of which something malformed is told as absent', () => {
    expect(otValues(new OtTraceState('rv:0123;th:xyz'))).toEqual({
      rv: undefined,
      th: undefined,
      others: [],
    });
    expect(otValues(new OtTraceState('th:8'))).toMatchObject({ th: '80000000000000' });
  });
});
