import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DeadlineQueue, DueNode } from './deadline-queue.ts';

class Node extends DueNode {}

test('gives nodes in the order of their due times, whatever was moved or removed before', () => {
  const step = fc.record({ node: fc.nat(9), dueAtMs: fc.nat(50), isRemoval: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const queue = new DeadlineQueue<Node>();
      const nodes = Array.from({ length: 10 }, () => new Node());
      const expected = new Map<Node, number>();
      for (const { node: index, dueAtMs, isRemoval } of steps) {
        const node = nodes[index] as Node;
        if (isRemoval) queue.remove(node);
        else queue.set(node, dueAtMs);
        if (isRemoval) expected.delete(node);
        else expected.set(node, dueAtMs);
      }
      const taken: number[] = [];
      for (let node = queue.takeDue(50); node; node = queue.takeDue(50)) taken.push(node.dueAtMs);
      expect(taken).toEqual([...expected.values()].sort((a, b) => a - b));
    }),
  );
});

test('keeps what is not due yet', () => {
  const queue = new DeadlineQueue<Node>();
  const node = new Node();
  queue.set(node, 10);
  expect(queue.takeDue(9)).toBeUndefined();
  expect(queue.earliestMs).toBe(10);
  expect(queue.takeDue(10)).toBe(node);
  expect(queue.earliestMs).toBe(Number.POSITIVE_INFINITY);
});
