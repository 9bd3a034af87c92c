import type { SpanContext } from '@opentelemetry/api';
import { expect, test } from 'vitest';
import { createSpanHold } from './span-hold.ts';

function createTrace() {
  const forwarded: string[] = [];
  const inherited: string[] = [];
  const hold = createSpanHold<ReturnType<typeof span>>({
    forward: ({ id }) => forwarded.push(id),
    inherit: (root, one) => inherited.push(`${one.id} of ${root.id}`),
  });
  return {
    forwarded,
    inherited,
    hold,
    start(id: string, parent?: string) {
      const one = span(id);
      hold.started(one, parent === undefined ? undefined : contextOf(parent));
      return { end: () => hold.ended(one), context: contextOf(id) };
    },
  };
}

function contextOf(spanId: string): SpanContext {
  return { traceId: '1'.repeat(32), spanId, traceFlags: 1 };
}

function span(id: string) {
  return { id, spanContext: () => contextOf(id) };
}

test('what has ended is held back until its local root has ended, and goes before it', () => {
  const { start, forwarded, inherited } = createTrace();
  const root = start('root', 'somewhere else');
  const child = start('child', 'root');
  const grandchild = start('grandchild', 'child');
  grandchild.end();
  child.end();
  expect(forwarded).toEqual([]);
  root.end();
  expect(forwarded).toEqual(['grandchild', 'child', 'root']);
  expect(inherited).toEqual(['grandchild of root', 'child of root']);
});

test('a span that outlives its root goes at once when it ends', () => {
  const { start, forwarded, inherited } = createTrace();
  const root = start('root');
  const late = start('late', 'root');
  root.end();
  late.end();
  expect(forwarded).toEqual(['root', 'late']);
  expect(inherited).toEqual(['late of root']);
});

test('two pieces of work do not hold each other back', () => {
  const { start, forwarded } = createTrace();
  start('open');
  const other = start('other');
  other.end();
  expect(forwarded).toEqual(['other']);
});

test('what is released goes, although its root never ends here', () => {
  const { start, forwarded, hold } = createTrace();
  const root = start('root');
  start('child', 'root').end();
  hold.release(root.context);
  expect(forwarded).toEqual(['child']);
  start('later', 'root').end();
  expect(forwarded).toEqual(['child', 'later']);
});

test('a piece of work without end is not held without end', () => {
  const { start, forwarded } = createTrace();
  start('root');
  for (let number = 0; number < 2_049; number++) start(`child-${number}`, 'root').end();
  expect(forwarded).toHaveLength(2_049);
});
