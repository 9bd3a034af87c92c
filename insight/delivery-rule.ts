import { CONTEXT_SOURCE, JOB_ID, SAMPLING_KEPT } from '../shared/trace/semconv.ts';
import { type BrokenSpan, broken, describeSpan } from './disconnection.ts';
import type { SpanNode } from './trace-graph.ts';

/**
 * The span that processes a message is tied to the span that sent it: as its child, or, when late work began a new
 * root, by a `producer` link. A message without any context has nothing to be tied to. Of an order that was not sampled
 * `send` spans are not reported: what is kept of it nevertheless hangs on what its job was enqueued in.
 */
export function checkDelivery(node: SpanNode, externalParents: ReadonlySet<string>): readonly BrokenSpan[] {
  const { span } = node;
  if (span.kind !== 'CONSUMER' || !span.name.startsWith('process ')) return [];
  if (span.attributes[CONTEXT_SOURCE] === 'none') return [];
  return span.parentSpanId === undefined
    ? checkLinkedRoot(node, externalParents)
    : checkChild(node, span.parentSpanId, externalParents);
}

function checkChild(
  node: SpanNode,
  parentSpanId: string,
  externalParents: ReadonlySet<string>,
): readonly BrokenSpan[] {
  if (node.parent) return checkSender(node, node.parent);
  if (externalParents.has(parentSpanId)) return [];
  const complaint = `processes a message whose send span (${parentSpanId}) was never reported`;
  return [broken('send-missing', node.span, complaint)];
}

function checkLinkedRoot(node: SpanNode, externalParents: ReadonlySet<string>): readonly BrokenSpan[] {
  const producers = node.links.filter(({ reason }) => reason === 'producer');
  if (producers.some(({ link }) => externalParents.has(link.spanId))) return [];
  const senders = producers.flatMap(({ target }) => target ?? []);
  if (senders.length > 0) return senders.flatMap((sender) => checkSender(node, sender));
  const complaint =
    producers.length === 0
      ? 'processes a message and has neither its send span as parent nor a producer link'
      : 'processes a message whose producer link points at a span that was never reported';
  return [broken('send-missing', node.span, complaint)];
}

function checkSender(node: SpanNode, sender: SpanNode): readonly BrokenSpan[] {
  if (sender.span.kind !== 'PRODUCER') {
    if (node.span.attributes[SAMPLING_KEPT] !== undefined) return [];
    const complaint = `processes a message and is tied to ${describeSpan(sender.span)}, which sends none (kind ${sender.span.kind})`;
    return [broken('send-missing', node.span, complaint)];
  }
  const sent = sender.span.attributes[JOB_ID];
  const processed = node.span.attributes[JOB_ID];
  if (sent === undefined || processed === undefined || sent === processed) return [];
  const complaint = `processes job ${String(processed)} and is tied to ${describeSpan(sender.span)}, which sent job ${String(sent)}`;
  return [broken('send-missing', node.span, complaint)];
}
