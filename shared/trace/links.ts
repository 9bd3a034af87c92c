import { isSpanContextValid, type Link, type SpanContext } from '@opentelemetry/api';
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
