import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { SpanRecord } from '../insight/index.ts';
import { ORDER_KEY } from '../shared/trace/semconv.ts';
import { createSpanStore } from './span-store.ts';

function span(trace: string, id: string, details: Partial<SpanRecord> = {}): SpanRecord {
  return {
    traceId: trace.repeat(32),
    spanId: id.repeat(16),
    name: `${trace}${id}`,
    kind: 'INTERNAL',
    service: 'shop',
    startMs: 0,
    endMs: 1,
    status: { code: 'UNSET' },
    attributes: {},
    events: [],
    links: [],
    ...details,
  };
}
const keyed = (key: string) => ({ attributes: { [ORDER_KEY]: key } });
const linkTo = ({ traceId, spanId }: SpanRecord) => ({ links: [{ traceId, spanId, attributes: {} }] });
const names = (spans: readonly SpanRecord[]) => spans.map(({ name }) => name);

test("finds an order's traces whole, with the traces that link into them", () => {
  const store = createSpanStore({ maxSpans: 100 });
  const request = span('a', '1', keyed('order-1'));
  store.add([request, span('a', '2'), span('b', '1', linkTo(request)), span('b', '2'), span('c', '1')]);
  expect(names(store.byOrder('order-1'))).toEqual(['a1', 'a2', 'b1', 'b2']);
  expect(names(store.byTrace('c'.repeat(32)))).toEqual(['c1']);
  expect(store.byOrder('order-2')).toEqual([]);
});

test('keeps a span that arrives twice once', () => {
  const store = createSpanStore({ maxSpans: 100 });
  store.add([span('a', '1'), span('a', '1')]);
  store.add([span('a', '1')]);
  expect(store.size).toBe(1);
});

test('evicts the oldest trace whole, and counts it', () => {
  const store = createSpanStore({ maxSpans: 3 });
  store.add([span('a', '1', keyed('order-1')), span('b', '1', keyed('order-2')), span('a', '2')]);
  store.add([span('c', '1')]);
  expect(store.byOrder('order-1')).toEqual([]);
  expect(names(store.byOrder('order-2'))).toEqual(['b1']);
  expect([store.size, store.evictedTraces, store.evictedSpans]).toEqual([2, 1, 2]);
});

test('forgets what it knew of an evicted trace when that trace begins anew', () => {
  const store = createSpanStore({ maxSpans: 2 });
  const kept = span('b', '1', keyed('order-2'));
  store.add([span('a', '1', { ...keyed('order-1'), ...linkTo(kept) }), kept, kept]);
  store.add([span('c', '1'), span('a', '2')]);
  store.add([kept]);
  expect(store.byOrder('order-1')).toEqual([]);
  expect(names(store.byOrder('order-2'))).toEqual(['b1']);
});

test('never keeps more than it may, whatever arrives', () => {
  const spans = fc.array(
    fc
      .tuple(fc.constantFrom('a', 'b', 'c', 'd'), fc.constantFrom(...'123456789'))
      .map(([trace, id]) => span(trace, id, keyed(`order of ${trace}`))),
  );
  fc.assert(
    fc.property(spans, fc.integer({ min: 0, max: 6 }), (arrived, maxSpans) => {
      const store = createSpanStore({ maxSpans });
      store.add(arrived);
      const found = [...'abcd'].flatMap((trace) => store.byOrder(`order of ${trace}`));
      expect(store.size).toBeLessThanOrEqual(maxSpans);
      expect(found).toHaveLength(store.size);
    }),
  );
});

describe('waiting', () => {
  test('ends with the span that was waited for', async () => {
    const store = createSpanStore({ maxSpans: 10 });
    const waited = store.waitFor((one) => one.byOrder('order-1')[0]?.name, { timeoutMs: 5_000 });
    store.add([span('a', '1')]);
    store.add([span('a', '2', keyed('order-1'))]);
    expect(await waited).toBe('a1');
  });

  test('ends at once when the span is there', async () => {
    const store = createSpanStore({ maxSpans: 10 });
    store.add([span('a', '1')]);
    expect(await store.waitFor(({ size }) => size > 0 && size, { timeoutMs: 0 })).toBe(1);
  });

  test('in vain ends with an error that shows what arrived', async () => {
    const store = createSpanStore({ maxSpans: 10 });
    store.add([span('a', '1')]);
    const waited = store.waitFor(() => undefined, { timeoutMs: 1 });
    await expect(waited).rejects.toThrow(/did not arrive within 1 ms[\s\S]*a1 \[shop\]/);
    await expect(waited).rejects.toMatchObject({ code: 'AWAITED_SPANS_MISSING' });
  });

  test('fails with what its question throws, also when the span comes later', async () => {
    const store = createSpanStore({ maxSpans: 10 });
    const waited = store.waitFor(
      ({ size }) => {
        if (size > 0) throw new Error('unexpected span');
        return undefined;
      },
      { timeoutMs: 5_000 },
    );
    store.add([span('a', '1')]);
    await expect(waited).rejects.toThrow('unexpected span');
  });
});
