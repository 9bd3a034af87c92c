import { type Context, context, type Span } from '@opentelemetry/api';
import { type Carrier, spanContextOf } from './carrier.ts';
import { inSpan } from './in-span.ts';
import { links, linkTo } from './links.ts';
import {
  SAGA_COMPENSATION_ORIGINAL_SPAN_ID,
  SAGA_COMPENSATION_ORIGINAL_TRACE_ID,
  SAGA_STEP,
} from './semconv.ts';

export interface CompensationSpan {
  /** The step that is undone. */
  readonly step: string;
  /** That step's span, as it was captured while it ran. */
  readonly undoes: Carrier;
  /** The span of the step whose failure made this necessary. */
  readonly failedStep: Carrier;
  /** Default: the active context. */
  readonly parent?: Context;
}

/** Runs a compensation inside its span, linked to the step that it undoes and to the one that failed. */
export function inCompensationSpan<T>(
  compensation: CompensationSpan,
  work: (span: Span) => Promise<T>,
): Promise<T> {
  const undone = spanContextOf(compensation.undoes);
  const attributes = {
    [SAGA_STEP]: compensation.step,
    ...(undone && {
      [SAGA_COMPENSATION_ORIGINAL_TRACE_ID]: undone.traceId,
      [SAGA_COMPENSATION_ORIGINAL_SPAN_ID]: undone.spanId,
    }),
  };
  return inSpan(
    `compensate ${compensation.step}`,
    {
      attributes,
      links: links(linkTo(undone, 'undoes'), linkTo(spanContextOf(compensation.failedStep), 'failed-step')),
      parent: compensation.parent ?? context.active(),
    },
    work,
  );
}
