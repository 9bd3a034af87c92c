import { ORDER_KEY } from '../shared/trace/semconv.ts';
import type { ResolvedLink, SpanNode, TraceGraph } from './trace-graph.ts';

/**
 * The spans that belong to one order: those that bear its key, and those that should.
 *
 * A span without a key belongs to the order when
 * - its nearest ancestor that bears a key bears this one, or
 * - it leads, by parent, to spans of this order only; what leads to several orders (an operator's bulk redrive, a
 *   batch, a campaign) belongs to none of them, or
 * - it stands in a trace where no other order occurs, or
 * - a link ties it to this order only: it links to the order's spans itself, or they name it as the producer, the
 *   earlier attempt or the step that they follow. A `caused-by` or `google-client` target is somebody else's.
 */
export function orderSpans(graph: TraceGraph, orderKey: string): readonly SpanNode[] {
  const owners = ownersByTree(graph);
  const traces = new Map<string, Owner>();
  for (const node of graph.nodes) {
    const { traceId } = node.span;
    traces.set(traceId, merge(traces.get(traceId), owners[node.index]));
  }
  return graph.nodes.filter((node) => {
    const owner = owners[node.index] ?? traces.get(node.span.traceId);
    return owner === orderKey;
  });
}

/** The order key that a span bears, when it bears one. */
export function orderKeyOf(node: SpanNode): string | undefined {
  const key = node.span.attributes[ORDER_KEY];
  return typeof key === 'string' && key !== '' ? key : undefined;
}

const SEVERAL = Symbol('several orders');
type Owner = string | typeof SEVERAL | undefined;

function merge(one: Owner, other: Owner): Owner {
  if (one === undefined) return other;
  return other === undefined || other === one ? one : SEVERAL;
}

function ownersByTree(graph: TraceGraph): readonly Owner[] {
  const owners = ownersByLink(graph);
  const topDown = parentsFirst(graph);
  const inherited = [...owners];
  for (const node of topDown) {
    if (!node.parent) continue;
    inherited[node.index] ??= inherited[node.parent.index];
  }
  // Upwards only into spans that have no keyed ancestor; a later order inside an order's own trace changes nothing.
  const upwards = [...inherited];
  for (const node of topDown.toReversed()) {
    const parent = node.parent;
    if (!parent || inherited[parent.index] !== undefined) continue;
    upwards[parent.index] = merge(upwards[parent.index], upwards[node.index]);
  }
  // Once more downwards: siblings of the branch that bears the key.
  for (const node of topDown) {
    if (node.parent) upwards[node.index] ??= upwards[node.parent.index];
  }
  return upwards;
}

function ownersByLink(graph: TraceGraph): Owner[] {
  const owners: Owner[] = graph.nodes.map(orderKeyOf);
  const linked: Owner[] = new Array(graph.nodes.length).fill(undefined);
  for (const node of graph.nodes) {
    for (const { reason, target } of node.links) {
      if (!target) continue;
      linked[node.index] = merge(linked[node.index], orderKeyOf(target));
      if (claims(reason)) linked[target.index] = merge(linked[target.index], orderKeyOf(node));
    }
  }
  return owners.map((owner, index) => owner ?? linked[index]);
}

function claims(reason: ResolvedLink['reason']): boolean {
  return reason !== undefined && reason !== 'caused-by' && reason !== 'google-client';
}

function parentsFirst(graph: TraceGraph): readonly SpanNode[] {
  const order = [...graph.roots];
  // The list grows while it is walked: every node enters once, after its parent.
  for (const node of order) for (const child of node.children) order.push(child);
  return order;
}
