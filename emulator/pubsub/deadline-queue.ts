import { QueueNode } from './linked-queue.ts';

/** Something that falls due: an outstanding message, or one that waits for its backoff to pass. */
export abstract class DueNode extends QueueNode {
  dueAtMs = 0;
  /** Position in the heap; -1 while the node is in none. */
  heapIndex = -1;
}

/**
 * A binary heap by due time that knows where each node is, so that one timer serves any number of messages
 * and an acknowledged message leaves without a scan.
 */
export class DeadlineQueue<Node extends DueNode> {
  readonly #heap: Node[] = [];

  get length(): number {
    return this.#heap.length;
  }

  get earliestMs(): number {
    return this.#heap[0]?.dueAtMs ?? Number.POSITIVE_INFINITY;
  }

  /** Adds the node, or moves it when it is already waiting. */
  set(node: Node, dueAtMs: number): void {
    node.dueAtMs = dueAtMs;
    if (node.heapIndex < 0) {
      node.heapIndex = this.#heap.length;
      this.#heap.push(node);
    }
    this.#settle(node);
  }

  /** Does nothing when the node is not waiting. */
  remove(node: Node): void {
    const index = node.heapIndex;
    if (index < 0) return;
    const last = this.#heap.pop() as Node;
    node.heapIndex = -1;
    if (last === node) return;
    this.#put(last, index);
    this.#settle(last);
  }

  /** Takes the earliest node if it is due at `nowMs`. */
  takeDue(nowMs: number): Node | undefined {
    const node = this.#heap[0];
    if (!node || node.dueAtMs > nowMs) return undefined;
    this.remove(node);
    return node;
  }

  #put(node: Node, index: number): void {
    this.#heap[index] = node;
    node.heapIndex = index;
  }

  #settle(node: Node): void {
    if (!this.#rise(node)) this.#sink(node);
  }

  #rise(node: Node): boolean {
    const start = node.heapIndex;
    let index = start;
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = this.#heap[above] as Node;
      if (parent.dueAtMs <= node.dueAtMs) break;
      this.#put(parent, index);
      index = above;
    }
    this.#put(node, index);
    return index !== start;
  }

  #sink(node: Node): void {
    let index = node.heapIndex;
    for (;;) {
      const child = this.#earlierChild(index);
      if (!child || child.dueAtMs >= node.dueAtMs) break;
      const below = child.heapIndex;
      this.#put(child, index);
      index = below;
    }
    this.#put(node, index);
  }

  #earlierChild(index: number): Node | undefined {
    const left = this.#heap[2 * index + 1];
    const right = this.#heap[2 * index + 2];
    if (!left || !right) return left;
    return right.dueAtMs < left.dueAtMs ? right : left;
  }
}
