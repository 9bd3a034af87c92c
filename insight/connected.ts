import { ThroughlineError } from '../shared/errors.ts';
import { ORDER_KEY } from '../shared/trace/semconv.ts';
import { checkCompensation } from './compensation-rule.ts';
import { groupByConnection } from './components.ts';
import { checkDelivery } from './delivery-rule.ts';
import { type BrokenSpan, broken, type Disconnection } from './disconnection.ts';
import { orderKeyOf, orderSpans } from './order-spans.ts';
import type { SpanRecord } from './span-record.ts';
import { buildTraceGraph, type SpanNode, type TraceGraph } from './trace-graph.ts';

export interface ConnectionOptions {
  /** Ids of spans outside the given ones that may be parents or producers: a traced caller's, for instance. */
  readonly externalParents?: Iterable<string>;
}

/**
 * Every way in which the spans of one order fail to form one graph by parent and link; empty when they do.
 *
 * A link whose target was never reported is no failure by itself (an attempt that was killed exports nothing); it
 * counts where a rule needs the target. Give it everything that was collected: spans of other orders are ignored.
 */
export function findDisconnections(
  spans: readonly SpanRecord[],
  orderKey: string,
  options: ConnectionOptions = {},
): readonly Disconnection[] {
  const graph = buildTraceGraph(spans);
  const externalParents = new Set(options.externalParents);
  const members = orderSpans(graph, orderKey);
  if (members.length === 0) {
    const message = `No span bears ${ORDER_KEY} = "${orderKey}" (${graph.nodes.length} spans given).`;
    return [{ kind: 'no-spans', message }];
  }
  return [
    ...members.flatMap((node) => [
      ...checkParent(graph, node, externalParents),
      ...checkOrderKey(node, orderKey),
      ...checkCompensation(node, orderKey),
      ...checkDelivery(node, externalParents),
    ]),
    ...findIslands(graph, members, externalParents),
  ];
}

/**
 * Asserts that an order is one connected trace.
 *
 * Errors: DisconnectedTraceError, whose message lists every problem.
 */
export function assertConnected(
  spans: readonly SpanRecord[],
  orderKey: string,
  options: ConnectionOptions = {},
): void {
  const disconnections = findDisconnections(spans, orderKey, options);
  if (disconnections.length > 0) throw new DisconnectedTraceError(orderKey, disconnections);
}

export class DisconnectedTraceError extends ThroughlineError {
  override readonly name = 'DisconnectedTraceError';
  readonly code = 'DISCONNECTED_TRACE';
  readonly orderKey: string;
  readonly disconnections: readonly Disconnection[];

  constructor(orderKey: string, disconnections: readonly Disconnection[], options?: ErrorOptions) {
    const count = disconnections.length === 1 ? '1 problem' : `${disconnections.length} problems`;
    const list = disconnections.map(({ kind, message }) => `\n  - ${kind}: ${message}`).join('');
    super(`The trace of order "${orderKey}" is not connected, ${count}:${list}`, options);
    this.orderKey = orderKey;
    this.disconnections = disconnections;
  }
}

function checkParent(
  graph: TraceGraph,
  node: SpanNode,
  externalParents: ReadonlySet<string>,
): readonly BrokenSpan[] {
  const { traceId, parentSpanId } = node.span;
  if (node.parent || parentSpanId === undefined || externalParents.has(parentSpanId)) return [];
  if (graph.find(traceId, parentSpanId)) {
    return [broken('circle', node.span, 'is its own ancestor: its parents form a circle')];
  }
  return [broken('orphan', node.span, `names the parent ${parentSpanId}, which was never reported`)];
}

function checkOrderKey(node: SpanNode, orderKey: string): readonly BrokenSpan[] {
  if (orderKeyOf(node) === orderKey) return [];
  return [broken('order-key-missing', node.span, `belongs to the order and lacks ${ORDER_KEY}`)];
}

/** The largest group is the order; each other one is reported once, by its earliest span. */
function findIslands(
  graph: TraceGraph,
  members: readonly SpanNode[],
  externalParents: ReadonlySet<string>,
): readonly BrokenSpan[] {
  const groups = groupByConnection(graph, externalParents);
  const [, ...islands] = [...Map.groupBy(members, (node) => groups[node.index]).values()].sort(
    (one, other) => other.length - one.length,
  );
  return islands.flatMap((island) => {
    const [first] = island.toSorted((one, other) => one.span.startMs - other.span.startMs);
    if (!first) return [];
    const more = island.length === 1 ? 'is' : `and ${island.length - 1} more spans are`;
    return [broken('island', first.span, `${more} joined to the rest by neither parent nor link`)];
  });
}
