export {
  assertConnected,
  type BrokenSpan,
  type ConnectionOptions,
  DisconnectedTraceError,
  type Disconnection,
  findDisconnections,
  type NoSpans,
  normalisedTree,
  renderTree,
  type SpanEventRecord,
  type SpanKindName,
  type SpanLinkRecord,
  type SpanRecord,
  type TreeOptions,
} from '../insight/index.ts';
export { AwaitedSpansMissingError, type WaitOptions } from '../shared/trace/arrivals.ts';
export type { FinishedSpan } from './finished-span.ts';
export { createSpanCollector, type SpanCollector } from './span-collector.ts';
