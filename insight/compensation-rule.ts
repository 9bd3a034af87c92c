import {
  SAGA_COMPENSATION_ORIGINAL_SPAN_ID,
  SAGA_COMPENSATION_ORIGINAL_TRACE_ID,
  SAGA_ID,
  SAGA_STEP,
} from '../shared/trace/semconv.ts';
import { type BrokenSpan, broken, describeSpan } from './disconnection.ts';
import { orderKeyOf } from './order-spans.ts';
import type { SpanLinkRecord, SpanRecord } from './span-record.ts';
import type { ResolvedLink, SpanNode } from './trace-graph.ts';

const PREFIX = 'compensate ';

export function isCompensation(span: SpanRecord): boolean {
  return (
    span.name.startsWith(PREFIX) || typeof span.attributes[SAGA_COMPENSATION_ORIGINAL_SPAN_ID] === 'string'
  );
}

/**
 * A compensation is linked (`undoes`) to the step that it undoes, and its two attributes repeat that link.
 *
 * Several `undoes` links are fine (one for each attempt of the step): at least one target must have been reported,
 * and every reported one must be that step.
 */
export function checkCompensation(node: SpanNode, orderKey: string): readonly BrokenSpan[] {
  const { span } = node;
  if (!isCompensation(span)) return [];
  const undoes = node.links.filter(({ reason }) => reason === 'undoes');
  if (undoes.length === 0) return [broken('undoes-missing', span, 'has no link to the step that it undoes')];
  return [...checkTargets(node, undoes, orderKey), ...checkAttributes(span, undoes)];
}

function checkTargets(
  node: SpanNode,
  undoes: readonly ResolvedLink[],
  orderKey: string,
): readonly BrokenSpan[] {
  const { span } = node;
  const targets = undoes.flatMap(({ target }) => target ?? []);
  if (targets.length === 0) {
    const ids = undoes.map(({ link }) => `trace ${link.traceId}, span ${link.spanId}`).join('; ');
    return [broken('undoes-unreported', span, `undoes a step that was never reported (${ids})`)];
  }
  const step = stepUndoneBy(span);
  return targets
    .filter((target) => !isStep(target, step, node, orderKey))
    .map((target) => {
      const wanted = step === undefined ? 'and does not say which step it undoes' : `not to "step ${step}"`;
      return broken('undoes-wrong-step', span, `is linked to ${describeSpan(target.span)}, ${wanted}`);
    });
}

function stepUndoneBy(span: SpanRecord): string | undefined {
  const step = span.attributes[SAGA_STEP];
  if (typeof step === 'string') return step;
  return span.name.startsWith(PREFIX) ? span.name.slice(PREFIX.length) : undefined;
}

/** A job's step may be the worker's process span: it is known by its own `saga.step`, or by its last word. */
function isStep(
  target: SpanNode,
  step: string | undefined,
  compensation: SpanNode,
  orderKey: string,
): boolean {
  // A compensation bears the same `saga.step` as the step: it undoes neither itself nor another compensation.
  if (step === undefined || isCompensation(target.span)) return false;
  if ((orderKeyOf(target) ?? orderKey) !== orderKey) return false;
  const sagaId = target.span.attributes[SAGA_ID] ?? compensation.span.attributes[SAGA_ID];
  if (sagaId !== (compensation.span.attributes[SAGA_ID] ?? sagaId)) return false;
  return target.span.attributes[SAGA_STEP] === step || target.span.name.endsWith(` ${step}`);
}

function checkAttributes(span: SpanRecord, undoes: readonly ResolvedLink[]): readonly BrokenSpan[] {
  const traceId = span.attributes[SAGA_COMPENSATION_ORIGINAL_TRACE_ID];
  const spanId = span.attributes[SAGA_COMPENSATION_ORIGINAL_SPAN_ID];
  const repeats = (link: SpanLinkRecord) => link.traceId === traceId && link.spanId === spanId;
  if (undoes.some(({ link }) => repeats(link))) return [];
  const said = `trace ${String(traceId ?? 'missing')}, span ${String(spanId ?? 'missing')}`;
  const linked = undoes.map(({ link }) => `trace ${link.traceId}, span ${link.spanId}`).join('; ');
  return [
    broken(
      'original-ids-differ',
      span,
      `says in its attributes that it undoes (${said}) but is linked to (${linked})`,
    ),
  ];
}
