import { REDACTED, type Scrub } from '../scrub.ts';
import { isSensitive } from '../sensitive-fields.ts';

type Attributes = Record<string, unknown>;

/** As much of an ended span as can hold personal data. */
export interface ToldSpan {
  name: string;
  readonly attributes: Attributes;
  readonly status: { message?: string };
  readonly events: readonly { readonly attributes?: Attributes }[];
  readonly links: readonly { readonly attributes?: Attributes }[];
}

/** Takes personal data and secrets out of a span, whoever wrote them there: ours, a library's, an instrumentation. */
export function scrubSpan(span: ToldSpan, scrub: Scrub): void {
  span.name = scrub(span.name);
  scrubAttributes(span.attributes, scrub);
  if (span.status.message !== undefined) span.status.message = scrub(span.status.message);
  for (const { attributes } of span.events) if (attributes) scrubAttributes(attributes, scrub);
  for (const { attributes } of span.links) if (attributes) scrubAttributes(attributes, scrub);
}

function scrubAttributes(attributes: Attributes, scrub: Scrub): void {
  for (const key in attributes) {
    const value = attributes[key];
    if (typeof value === 'string') {
      const clean = isSensitive(key) ? REDACTED : scrub(value);
      if (clean !== value) attributes[key] = clean;
    } else if (Array.isArray(value)) {
      attributes[key] = value.map((part) =>
        typeof part !== 'string' ? part : isSensitive(key) ? REDACTED : scrub(part),
      );
    }
  }
}
