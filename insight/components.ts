import type { SpanNode, TraceGraph } from './trace-graph.ts';

/**
 * Groups of nodes that hang together by parent and by link, in whatever direction.
 *
 * Union-find with path halving. Children of one declared external parent belong together although the parent itself
 * was not given; a link target that was never reported joins nothing.
 *
 * Shape: graph → one group number per node (the same index as `graph.nodes`); equal numbers hang together.
 */
export function groupByConnection(
  graph: TraceGraph,
  externalParents: ReadonlySet<string> = new Set(),
): readonly number[] {
  const leader = graph.nodes.map((node) => node.index);
  const outside = new Map<string, number>();
  for (const node of graph.nodes) {
    if (node.parent) join(leader, node.index, node.parent.index);
    for (const { target } of node.links) if (target) join(leader, node.index, target.index);
    const key = externalParentKey(node, externalParents);
    if (key === undefined) continue;
    const sibling = outside.get(key);
    if (sibling === undefined) outside.set(key, node.index);
    else join(leader, node.index, sibling);
  }
  return leader.map((_, index) => find(leader, index));
}

/** The groups themselves, each in order of arrival, the group of the earliest arrival first. */
export function connectedComponents(graph: TraceGraph): readonly (readonly SpanNode[])[] {
  const groups = groupByConnection(graph);
  return [...Map.groupBy(graph.nodes, (node) => groups[node.index]).values()];
}

function externalParentKey(node: SpanNode, externalParents: ReadonlySet<string>): string | undefined {
  const { traceId, parentSpanId } = node.span;
  if (node.parent || parentSpanId === undefined || !externalParents.has(parentSpanId)) return undefined;
  return traceId + parentSpanId;
}

function find(leader: number[], start: number): number {
  let index = start;
  for (let next = leader[index] ?? index; next !== index; next = leader[index] ?? index) {
    leader[index] = leader[next] ?? next;
    index = next;
  }
  return index;
}

function join(leader: number[], one: number, other: number): void {
  const a = find(leader, one);
  const b = find(leader, other);
  // The earlier node leads, so that a group's number does not depend on the order of its edges.
  if (a !== b) leader[Math.max(a, b)] = Math.min(a, b);
}
