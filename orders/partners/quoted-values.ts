import { spellings } from '../../shared/scrub.ts';

/** Shorter ones are words, and no secrets. */
const MIN_CHARS = 4;
/** The business key is what people search by, and amounts and currencies are nobody's secret. */
const MAY_BE_QUOTED = new Set(['orderKey', 'currency', 'template']);

/**
 * What a partner answered without the values that it was sent: the name of the field stands in their place.
 *
 * For card codes and push tokens, which no pattern can know.
 */
export function withoutValues(text: string, sent: Readonly<Record<string, unknown>>): string {
  let clean = text;
  for (const [field, value] of Object.entries(sent)) {
    if (typeof value !== 'string' || value.length < MIN_CHARS || MAY_BE_QUOTED.has(field)) continue;
    for (const spelling of spellings(value)) clean = clean.replaceAll(spelling, `[${field}]`);
  }
  return clean;
}
