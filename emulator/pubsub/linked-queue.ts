/** What a queue holds. A node is in one queue at most, which is what makes "exactly one place" checkable. */
export abstract class QueueNode {
  queue: LinkedQueue<QueueNode> | undefined = undefined;
  previous: QueueNode | undefined = undefined;
  next: QueueNode | undefined = undefined;
}

/** First in, first out, with removal from the middle; every operation takes constant time. */
export class LinkedQueue<Node extends QueueNode> {
  #first: Node | undefined;
  #last: Node | undefined;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(node: Node): void {
    if (node.queue) throw new Error('node is already in a queue');
    node.queue = this as unknown as LinkedQueue<QueueNode>;
    node.previous = this.#last;
    if (this.#last) this.#last.next = node;
    else this.#first = node;
    this.#last = node;
    this.#length++;
  }

  shift(): Node | undefined {
    const node = this.#first;
    if (node) this.remove(node);
    return node;
  }

  /** Does nothing when the node is not in this queue. */
  remove(node: Node): void {
    if (node.queue !== (this as unknown)) return;
    if (node.previous) node.previous.next = node.next;
    else this.#first = node.next as Node | undefined;
    if (node.next) node.next.previous = node.previous;
    else this.#last = node.previous as Node | undefined;
    node.queue = undefined;
    node.previous = undefined;
    node.next = undefined;
    this.#length--;
  }
}
