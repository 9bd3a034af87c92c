import { z } from 'zod';

/** Fields that the routes have in common. */

export const id = z.string().min(1).max(1_024);
export const time = z.iso.datetime();
const text = z.string().min(1);

/** Who acts, as the audit names them. */
export const actor = z.string().trim().min(1).max(200).describe('Who does it, as the audit names them');
export const reason = z.string().trim().min(1).max(1_000).describe('Why; kept with the action');

/** A field of a document: null when it has no value. */
export const maybe = <Schema extends z.ZodType>(schema: Schema) => schema.nullable();
export const maybeText = maybe(z.string());
export const maybeTime = maybe(time);
export const maybeTrace = maybe(z.string().regex(/^[0-9a-f]{32}$/));

/** For queries, where everything is text. */
export const limit = z.coerce.number().int().min(1).max(1_000).default(100);
export const flag = z.enum(['true', 'false']).transform((value) => value === 'true');
export const after = z.string().min(1).max(4_096).optional().describe('`next` of the page before');
export const instant = z.iso.datetime({ offset: true }).transform((value) => new Date(value));

/** `a,b`: some of these. */
export function someOf<Name extends string>(names: readonly [Name, ...Name[]]) {
  return text
    .transform((value) => value.split(','))
    .pipe(z.array(z.enum(names)).min(1))
    .describe(`Some of ${names.join(', ')}, joined by commas`);
}
