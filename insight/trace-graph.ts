import { LINK_REASON } from '../shared/trace/semconv.ts';
import type { SpanLinkRecord, SpanRecord } from './span-record.ts';

/**
 * Spans joined to their parents, children and link targets.
 *
 * G1. A span that was exported twice (a retried export, a journal that re-emits it) is one node; the first copy stays.
 * G2. Parents form a forest: a circle of parents, which only a broken or hostile source sends, is cut at one node,
 *     whose `parent` is then undefined though `find` knows its parent id. Whoever walks `children` therefore ends.
 * G3. Building takes time and memory linear in spans and links, and never recurses: depth is no danger.
 */
export interface TraceGraph {
  /** In the order of arrival, without duplicates. */
  readonly nodes: readonly SpanNode[];
  /** Nodes without a parent among the given spans: true roots, orphans, and the cut end of a circle. */
  readonly roots: readonly SpanNode[];
  readonly find: (traceId: string, spanId: string) => SpanNode | undefined;
}

export interface SpanNode {
  /** Position in `TraceGraph.nodes`. */
  readonly index: number;
  readonly span: SpanRecord;
  readonly parent: SpanNode | undefined;
  readonly children: readonly SpanNode[];
  readonly links: readonly ResolvedLink[];
}

export interface ResolvedLink {
  readonly link: SpanLinkRecord;
  /** Why the link exists: a `LinkReason`, or whatever another library wrote; undefined when it says nothing. */
  readonly reason: string | undefined;
  /** Undefined when the target was never reported. */
  readonly target: SpanNode | undefined;
}

interface GrowingNode extends SpanNode {
  parent: GrowingNode | undefined;
  children: GrowingNode[];
  links: ResolvedLink[];
}

export function buildTraceGraph(spans: readonly SpanRecord[]): TraceGraph {
  const byId = new Map<string, GrowingNode>();
  for (const span of spans) {
    const id = span.traceId + span.spanId;
    if (byId.has(id)) continue;
    byId.set(id, { index: byId.size, span, parent: undefined, children: [], links: [] });
  }
  const nodes = [...byId.values()];
  for (const node of nodes) joinParent(node, byId);
  for (const node of nodes) joinLinks(node, byId);
  cutCircles(nodes);
  return {
    nodes,
    roots: nodes.filter((node) => !node.parent),
    find: (traceId, spanId) => byId.get(traceId + spanId),
  };
}

function joinParent(node: GrowingNode, byId: ReadonlyMap<string, GrowingNode>): void {
  const { traceId, parentSpanId } = node.span;
  const parent = parentSpanId === undefined ? undefined : byId.get(traceId + parentSpanId);
  if (!parent) return;
  node.parent = parent;
  parent.children.push(node);
}

function joinLinks(node: GrowingNode, byId: ReadonlyMap<string, GrowingNode>): void {
  for (const link of node.span.links) {
    const reason = link.attributes[LINK_REASON];
    node.links.push({
      link,
      reason: typeof reason === 'string' ? reason : undefined,
      target: byId.get(link.traceId + link.spanId),
    });
  }
}

/** G2. A node that no root reaches sits on a circle or hangs from one. */
function cutCircles(nodes: readonly GrowingNode[]): void {
  const reached = new Set<SpanNode>();
  for (const node of nodes) if (!node.parent) reach(node, reached);
  for (const node of nodes) {
    if (reached.has(node)) continue;
    const start = memberOfCircle(node);
    const parent = start.parent;
    if (parent) parent.children = parent.children.filter((child) => child !== start);
    start.parent = undefined;
    reach(start, reached);
  }
}

function memberOfCircle(from: GrowingNode): GrowingNode {
  const passed = new Set<GrowingNode>();
  let node = from;
  while (node.parent && !passed.has(node)) {
    passed.add(node);
    node = node.parent;
  }
  return node;
}

function reach(root: SpanNode, reached: Set<SpanNode>): void {
  const pending: SpanNode[] = [root];
  for (let node = pending.pop(); node; node = pending.pop()) {
    reached.add(node);
    for (const child of node.children) pending.push(child);
  }
}
