import { isSpanContextValid, type Link, type SpanContext, trace } from '@opentelemetry/api';
import { type Carrier, captureCarrier, spanContextOf } from './carrier.ts';
import { LIGHT_ROOT } from './light-context.ts';
import { LINK_REASON } from './semconv.ts';

/**
 * Why a span is linked to another one.
 *
 * - `producer`: the `send` span of the message that is being processed
 * - `previous-attempt`: the earlier attempt of the same job or step
 * - `undoes`: the step that a compensation undoes
 * - `failed-step`: the step whose failure made the compensation necessary
 * - `google-client`: the context that Google's own client tracing wrote beside ours
 * - `dead-delivery`: the delivery in which a job died that is redriven or dropped
 * - `caused-by`: any other cause (a batch, a campaign, an operator's request)
 */
export type LinkReason =
  | 'producer'
  | 'previous-attempt'
  | 'undoes'
  | 'failed-step'
  | 'google-client'
  | 'dead-delivery'
  | 'caused-by';

/** A link to `target` that says why; undefined when there is nothing valid to link to. */
export function linkTo(target: SpanContext | undefined, reason: LinkReason): Link | undefined {
  if (!target || !isSpanContextValid(target)) return undefined;
  return { context: target, attributes: { [LINK_REASON]: reason } };
}

/** Keeps the links that exist: `links(linkTo(a, 'producer'), linkTo(b, 'previous-attempt'))`. */
export function links(...candidates: readonly (Link | undefined)[]): Link[] {
  return candidates.filter((link) => link !== undefined);
}

/** A link as JSON, for spans that are begun later, by another process. */
export interface StoredLink {
  readonly to: Carrier;
  readonly reason: string;
}

export function storedLinks(given: readonly Link[]): StoredLink[] {
  return given.map(({ context, attributes }) => ({
    to: captureCarrier(trace.setSpanContext(LIGHT_ROOT, context)),
    reason: String(attributes?.[LINK_REASON] ?? 'caused-by'),
  }));
}

export function restoredLinks(stored: readonly StoredLink[] | null | undefined): Link[] {
  return (stored ?? []).flatMap(({ to, reason }) => links(linkTo(spanContextOf(to), reason as LinkReason)));
}
