import type { SpanNode, TraceGraph } from './trace-graph.ts';

/** One line of a tree. It knows the line above its branch, not a list of all levels: deep traces stay linear. */
export interface TreeLine {
  readonly node: SpanNode;
  /** 0 for a root. */
  readonly depth: number;
  /** The parent's line; undefined for a root. */
  readonly above: TreeLine | undefined;
  /** Whether a sibling comes after it. */
  readonly isFollowed: boolean;
}

/**
 * The nodes of all trees, a parent before its children, siblings by start time, then name.
 *
 * Trees come in order of time too, but a root that links into another tree comes after that tree: clocks of
 * two machines differ, and what follows from something reads better below it.
 */
export function treeLines(graph: TraceGraph): readonly TreeLine[] {
  const lines: TreeLine[] = [];
  for (const root of orderedRoots(graph)) {
    const pending: TreeLine[] = [{ node: root, depth: 0, above: undefined, isFollowed: false }];
    for (let line = pending.pop(); line; line = pending.pop()) {
      lines.push(line);
      const children = line.node.children.toSorted(byStartThenName).reverse();
      for (const [position, node] of children.entries()) {
        // Children are pushed last first: the one at position 0 is the last sibling.
        pending.push({ node, depth: line.depth + 1, above: line, isFollowed: position > 0 });
      }
    }
  }
  return lines;
}

function byStartThenName(one: SpanNode, other: SpanNode): number {
  return one.span.startMs - other.span.startMs || compareText(one.span.name, other.span.name);
}

/** By code unit, so that the order is the same in every locale. */
function compareText(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}

function orderedRoots(graph: TraceGraph): readonly SpanNode[] {
  const rootOf = rootsByNode(graph);
  const placed = new Set<SpanNode>();
  const entered = new Set<SpanNode>();
  for (const first of graph.roots.toSorted(byStartThenName)) {
    const pending = [first];
    // Depth first over "links to", without recursion: a node is placed when all that it links to is placed.
    for (let root = pending.at(-1); root; root = pending.at(-1)) {
      const before = entered.has(root) ? [] : linkedRoots(root, rootOf).filter((one) => !entered.has(one));
      entered.add(root);
      if (before.length > 0) pending.push(...before.toSorted(byStartThenName).reverse());
      else placed.add(pending.pop() ?? root);
    }
  }
  return [...placed];
}

function linkedRoots(root: SpanNode, rootOf: readonly (SpanNode | undefined)[]): readonly SpanNode[] {
  return root.links.flatMap(({ target }) => (target && rootOf[target.index]) ?? []);
}

function rootsByNode(graph: TraceGraph): readonly (SpanNode | undefined)[] {
  const rootOf: (SpanNode | undefined)[] = new Array(graph.nodes.length).fill(undefined);
  const order = [...graph.roots];
  // The list grows while it is walked: every node enters once, after its parent.
  for (const node of order) {
    rootOf[node.index] = node.parent ? rootOf[node.parent.index] : node;
    for (const child of node.children) order.push(child);
  }
  return rootOf;
}
