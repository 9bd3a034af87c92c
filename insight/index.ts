export { connectedComponents } from './components.ts';
export { condense } from './condense.ts';
export {
  assertConnected,
  type ConnectionOptions,
  DisconnectedTraceError,
  findDisconnections,
} from './connected.ts';
export type { BrokenSpan, Disconnection, NoSpans } from './disconnection.ts';
export { humaniseMs } from './duration.ts';
export { normalisedTree } from './normalised-tree.ts';
export { orderSpans } from './order-spans.ts';
export {
  estimateSampling,
  type SamplingEstimate,
  type SamplingLoad,
  SamplingLoadError,
} from './sampling-estimate.ts';
export type { SpanEventRecord, SpanKindName, SpanLinkRecord, SpanRecord } from './span-record.ts';
export { buildTraceGraph, type ResolvedLink, type SpanNode, type TraceGraph } from './trace-graph.ts';
export { renderTree, type TreeOptions } from './tree.ts';
