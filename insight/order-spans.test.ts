import { describe, expect, test } from 'vitest';
import { ORDER_KEY } from '../shared/trace/semconv.ts';
import { childOf, link, makeSpan } from './fixtures/order-trace.ts';
import { orderSpans } from './order-spans.ts';
import type { SpanRecord } from './span-record.ts';
import { buildTraceGraph } from './trace-graph.ts';

const keyed = (key: string) => ({ attributes: { [ORDER_KEY]: key } });
const elsewhere = { traceId: 'b'.repeat(32) };
const namesOf = (spans: readonly SpanRecord[], key: string) =>
  orderSpans(buildTraceGraph(spans), key).map(({ span }) => span.name);

const order = makeSpan({ name: 'order', ...keyed('one') });

describe('a span without a key belongs to the order', () => {
  test('of its nearest ancestor with a key, not to a later order below it', () => {
    const between = makeSpan({ name: 'between', ...childOf(order) });
    const later = makeSpan({ name: 'later', ...childOf(between), ...keyed('two') });
    expect(namesOf([later, between, order], 'one')).toEqual(['between', 'order']);
    expect(namesOf([later, between, order], 'two')).toEqual(['later']);
  });

  test('to which alone it leads', () => {
    const above = makeSpan({ name: 'above', ...elsewhere });
    const below = makeSpan({ name: 'below', ...childOf(above), ...keyed('one') });
    const beside = makeSpan({ name: 'beside', ...childOf(above) });
    const other = makeSpan({ name: 'other', ...elsewhere, ...keyed('two') });
    expect(namesOf([order, above, below, beside, other], 'one')).toEqual([
      'order',
      'above',
      'below',
      'beside',
    ]);
  });

  test('that alone occurs in its trace, even when nothing joins them', () => {
    const adrift = makeSpan({ name: 'adrift', parentSpanId: 'f'.repeat(16) });
    expect(namesOf([order, adrift], 'one')).toEqual(['order', 'adrift']);
  });

  test('into which it links, or which names it as an earlier attempt', () => {
    const callback = makeSpan({ name: 'callback', ...elsewhere, links: [link(order, 'caused-by')] });
    const attempt = makeSpan({ name: 'attempt', traceId: 'c'.repeat(32) });
    const next = makeSpan({ name: 'next', ...childOf(order), ...keyed('one') });
    const spans = [order, callback, attempt, { ...next, links: [link(attempt, 'previous-attempt')] }];
    expect(namesOf(spans, 'one')).toEqual(['order', 'callback', 'attempt', 'next']);
  });
});

describe('a span without a key belongs to no order', () => {
  test('when it leads to several', () => {
    const batch = makeSpan({ name: 'batch', ...elsewhere });
    const children = ['one', 'two', 'three'].map((key) =>
      makeSpan({ name: key, ...childOf(batch), ...keyed(key) }),
    );
    for (const key of ['one', 'two', 'three']) expect(namesOf([batch, ...children], key)).toEqual([key]);
  });

  test('when an order merely names it as its cause', () => {
    const campaign = makeSpan({ name: 'campaign', ...elsewhere });
    const caused = { ...order, links: [link(campaign, 'caused-by')] };
    expect(namesOf([campaign, caused], 'one')).toEqual(['order']);
  });
});
