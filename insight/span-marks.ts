import {
  ERROR_TYPE,
  JOB_ATTEMPT,
  JOB_ID,
  JOB_NAME,
  JOB_OUTCOME,
  SAGA_WAIT_MS,
} from '../shared/trace/semconv.ts';
import { humaniseMs } from './duration.ts';
import { printable } from './printable.ts';
import type { SpanRecord } from './span-record.ts';
import type { ResolvedLink, SpanNode, TraceGraph } from './trace-graph.ts';

/** A short remark on a span; its kind decides the colour. */
export interface Mark {
  readonly kind: 'error' | 'attempt' | 'link' | 'note';
  readonly text: string;
}

/** Jobs with more than one attempt among the spans: all their attempts are numbered, the first one too. */
export function jobsWithSeveralAttempts(graph: TraceGraph): ReadonlySet<unknown> {
  const attempts = new Map<unknown, unknown>();
  const several = new Set<unknown>();
  for (const { span } of graph.nodes) {
    const job = span.attributes[JOB_ID];
    const attempt = span.attributes[JOB_ATTEMPT];
    if (job === undefined || attempt === undefined) continue;
    if (attempts.has(job) && attempts.get(job) !== attempt) several.add(job);
    attempts.set(job, attempt);
  }
  return several;
}

export function marksOf(node: SpanNode, severalAttempts: ReadonlySet<unknown>): readonly Mark[] {
  const { span } = node;
  return [
    ...jobMark(span),
    ...attemptMark(span, severalAttempts),
    ...outcomeMark(span),
    ...waitMark(span),
    ...(span.parentSpanId !== undefined && !node.parent
      ? [{ kind: 'note', text: 'parent never reported' } as const]
      : []),
    ...node.links.flatMap((link) => linkMark(node, link)),
    // The longest one comes last: it takes a line of its own, and the short ones share one.
    ...errorMark(span),
  ].map(({ kind, text }) => ({ kind, text: printable(text) }));
}

/** Said where the job is sent; its process span stands right below. */
function jobMark(span: SpanRecord): readonly Mark[] {
  const job = span.attributes[JOB_NAME];
  return span.kind === 'PRODUCER' && typeof job === 'string' ? [{ kind: 'note', text: job }] : [];
}

function attemptMark(span: SpanRecord, severalAttempts: ReadonlySet<unknown>): readonly Mark[] {
  const attempt = span.attributes[JOB_ATTEMPT];
  if (attempt === undefined) return [];
  const isWorthSaying = Number(attempt) > 1 || severalAttempts.has(span.attributes[JOB_ID]);
  return isWorthSaying ? [{ kind: 'attempt', text: `attempt ${String(attempt)}` }] : [];
}

function errorMark(span: SpanRecord): readonly Mark[] {
  const type = span.attributes[ERROR_TYPE];
  if (span.status.code !== 'ERROR' && typeof type !== 'string') return [];
  const said = [type, span.status.message].filter((one) => typeof one === 'string' && one !== '');
  return [{ kind: 'error', text: `✗ ${[...new Set(said)].join(': ') || 'failed'}` }];
}

function outcomeMark(span: SpanRecord): readonly Mark[] {
  const outcome = span.attributes[JOB_OUTCOME];
  if (typeof outcome !== 'string' || outcome === 'done') return [];
  return [{ kind: 'note', text: `→ ${outcome === 'deadLetter' ? 'dead letter' : outcome}` }];
}

function waitMark(span: SpanRecord): readonly Mark[] {
  const waitMs = span.attributes[SAGA_WAIT_MS];
  if (typeof waitMs !== 'number' || waitMs <= 0) return [];
  return [{ kind: 'note', text: `waited ${humaniseMs(waitMs)}` }];
}

function linkMark(node: SpanNode, link: ResolvedLink): readonly Mark[] {
  const { traceId, parentSpanId } = node.span;
  // The conventions ask for this link beside the parent; the branch of the tree shows it already.
  const repeatsParent = link.link.spanId === parentSpanId && link.link.traceId === traceId;
  if (link.reason === 'producer' && repeatsParent) return [];
  return [{ kind: 'link', text: `${link.reason === 'undoes' ? '↩' : '⇠'} ${linkPhrase(link)}` }];
}

function linkPhrase({ reason, target }: ResolvedLink): string {
  const name = target?.span.name;
  switch (reason) {
    case 'undoes':
      return name === undefined ? 'undoes a step (never reported)' : `undoes ${name}`;
    case 'previous-attempt':
      return target ? previousAttempt(target.span) : 'previous attempt (never reported)';
    case 'failed-step':
      return name === undefined ? 'failed step (never reported)' : `failed ${name}`;
    case 'producer':
      return name === undefined ? 'producer (never reported)' : `from ${name}`;
    case 'caused-by':
      return name === undefined ? 'cause (never reported)' : `caused by ${name}`;
    case 'dead-delivery':
      return name === undefined ? 'died in a delivery (never reported)' : `died in ${name}`;
    case 'google-client':
      return name === undefined ? "Google's client span (never reported)" : `Google's client: ${name}`;
    default:
      return name === undefined ? 'linked span (never reported)' : `linked to ${name}`;
  }
}

function previousAttempt(span: SpanRecord): string {
  const attempt = span.attributes[JOB_ATTEMPT];
  return attempt === undefined ? `earlier ${span.name}` : `attempt ${String(attempt)}`;
}
