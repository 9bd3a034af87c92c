import { ERROR_TYPE, JOB_ATTEMPT } from '../shared/trace/semconv.ts';
import type { SpanRecord } from './span-record.ts';
import { buildTraceGraph, type ResolvedLink, type SpanNode } from './trace-graph.ts';
import { treeLines } from './tree-order.ts';

/**
 * Spans as text that a test can compare: no ids, no times, parents by indentation, links by name.
 *
 * Shape:  one line a span, two spaces a level:
 *         `  process workspace-jobs [worker] attempt=2 error=TIMEOUT link:previous-attempt→process workspace-jobs`.
 *         A span whose parent was never reported says `orphan`; such a link target is `(never reported)`.
 * Order:  start time, then name; a linked root after the tree that it links to.
 */
export function normalisedTree(spans: readonly SpanRecord[]): string {
  return treeLines(buildTraceGraph(spans))
    .map(({ node, depth }) => `${'  '.repeat(depth)}${normalisedSpan(node)}`)
    .join('\n');
}

function normalisedSpan(node: SpanNode): string {
  const { span } = node;
  const attempt = span.attributes[JOB_ATTEMPT];
  const words = [`${span.name} [${span.service}]`];
  if (attempt !== undefined) words.push(`attempt=${String(attempt)}`);
  const error = errorOf(span);
  if (error !== undefined) words.push(`error=${error}`);
  if (span.parentSpanId !== undefined && !node.parent) words.push('orphan');
  return [...words, ...node.links.map(normalisedLink)].join(' ');
}

function errorOf(span: SpanRecord): string | undefined {
  const type = span.attributes[ERROR_TYPE];
  if (typeof type === 'string') return type;
  return span.status.code === 'ERROR' ? (span.status.message ?? 'ERROR') : undefined;
}

function normalisedLink({ reason, target }: ResolvedLink): string {
  return `link:${reason ?? 'unexplained'}→${target?.span.name ?? '(never reported)'}`;
}
