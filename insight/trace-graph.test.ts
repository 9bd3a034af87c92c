import { expect, test } from 'vitest';
import { connectedComponents } from './components.ts';
import { findDisconnections } from './connected.ts';
import { childOf, link, makeSpan } from './fixtures/order-trace.ts';
import type { SpanRecord } from './span-record.ts';
import { buildTraceGraph } from './trace-graph.ts';
import { renderTree } from './tree.ts';

const root = makeSpan({ name: 'root' });
const child = makeSpan({ name: 'child', ...childOf(root) });
const elsewhere = makeSpan({ name: 'elsewhere', traceId: 'b'.repeat(32), links: [link(child, 'caused-by')] });
const lone = makeSpan({ name: 'lone', traceId: 'c'.repeat(32) });

const names = (nodes: readonly { readonly span: SpanRecord }[]) => nodes.map(({ span }) => span.name);

test('joins children to parents and links to targets, whatever the order of arrival', () => {
  const graph = buildTraceGraph([elsewhere, child, root]);
  expect(names(graph.roots)).toEqual(['elsewhere', 'root']);
  const found = graph.find(root.traceId, root.spanId);
  expect(names(found?.children ?? [])).toEqual(['child']);
  expect(graph.nodes[0]?.links[0]?.target?.span).toBe(child);
});

test('keeps a span that was exported twice once', () => {
  const graph = buildTraceGraph([root, child, { ...child }, { ...root }]);
  expect(names(graph.nodes)).toEqual(['root', 'child']);
  expect(graph.roots[0]?.children).toHaveLength(1);
});

test('does not take the same span id of another trace for a parent', () => {
  const stranger = makeSpan({ name: 'stranger', traceId: 'd'.repeat(32), parentSpanId: root.spanId });
  expect(names(buildTraceGraph([root, stranger]).roots)).toEqual(['root', 'stranger']);
});

test('groups spans by parent and by link', () => {
  const groups = connectedComponents(buildTraceGraph([lone, elsewhere, child, root]));
  expect(groups.map(names)).toEqual([['lone'], ['elsewhere', 'child', 'root']]);
});

test('cuts a circle of parents once and reaches what hangs from it', () => {
  const one = makeSpan({ name: 'one', parentSpanId: makeSpan({ name: 'two' }).spanId });
  const two = makeSpan({ name: 'two', ...childOf(one) });
  const leaf = makeSpan({ name: 'leaf', ...childOf(two) });
  const self = makeSpan({ name: 'self', parentSpanId: makeSpan({ name: 'self' }).spanId });
  const graph = buildTraceGraph([leaf, one, two, self]);
  expect(graph.roots).toHaveLength(2);
  expect(renderTree([leaf, one, two, self]).split('\n')).toHaveLength(4);
});

// Linear takes about a second on a slow machine; a quadratic step would take minutes, and so longer than a test may.
test('copes with 100,000 spans in one chain and in one fan without overflowing the stack', () => {
  const id = (index: number) => index.toString(16).padStart(16, '0');
  const attributes = { 'order.event_id': 'large' };
  const chain = Array.from({ length: 50_000 }, (_, index) =>
    makeSpan({ name: 'deep', spanId: id(index + 1), parentSpanId: id(index + 2), attributes }),
  );
  const fan = Array.from({ length: 50_000 }, (_, index) =>
    makeSpan({ name: 'wide', spanId: id(index + 100_001), parentSpanId: id(50_001), attributes }),
  );
  const top = makeSpan({ name: 'top', spanId: id(50_001), attributes });
  expect(findDisconnections([...chain, ...fan, top], 'large')).toEqual([]);
  expect(renderTree([...chain, ...fan, top]).split('\n')).toHaveLength(100_001);
});
