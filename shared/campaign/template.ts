/**
 * Text with placeholders: `Dear {{firstName}}`. Nothing but names of fields may stand in them, and nothing is escaped: a
 * channel that sends HTML escapes what it sends.
 */
export interface Template {
  /** One line. Empty for channels that have none. */
  readonly subject: string;
  readonly body: string;
}

export type Fields = Readonly<Record<string, string>>;

/** What the recipient gets. */
export interface Rendered {
  readonly subject: string;
  readonly body: string;
}

const PLACEHOLDER = /\{\{(.*?)\}\}/gs;
const FIELD = /^[A-Za-z][A-Za-z0-9_]{0,63}$/;

/** The fields that a template names, each once. */
export function fieldsOf({ subject, body }: Template): string[] {
  const named = [subject, body].flatMap((text) => [...text.matchAll(PLACEHOLDER)].map(nameIn));
  return [...new Set(named)];
}

/**
 * What is wrong with a template, given the fields that there are.
 *
 * Shape: sentences that name part and placeholder; empty when nothing is.
 */
export function templateProblems(template: Template, known: readonly string[]): string[] {
  const parts = [
    { part: 'template.subject', text: template.subject },
    { part: 'template.body', text: template.body },
  ];
  return parts.flatMap(({ part, text }) => [
    ...[...text.matchAll(PLACEHOLDER)]
      .map(nameIn)
      .filter((name) => !known.includes(name))
      .map((name) => `${part}: ${describe(name, known)}`),
    ...strayBraces(text).map((where) => `${part}: expected every "{{" to have its "}}", see "${where}"`),
  ]);
}

function describe(name: string, known: readonly string[]): string {
  if (!FIELD.test(name)) return `{{${name}}} is no name of a field`;
  const there = known.length === 0 ? 'the audience has none' : `the audience has ${known.join(', ')}`;
  return `{{${name}}} is no field of the audience; ${there}`;
}

function strayBraces(text: string): string[] {
  const rest = text.replace(PLACEHOLDER, (found) => ' '.repeat(found.length));
  return [...rest.matchAll(/\{\{|\}\}/g)].map(({ index }) => text.slice(Math.max(0, index - 10), index + 12));
}

function nameIn([, inner = '']: RegExpMatchArray): string {
  return inner.trim();
}

/** The fields of a template that a recipient lacks: missing, or blank. */
export function missingFields(wanted: readonly string[], fields: Fields): string[] {
  return wanted.filter((name) => (fields[name] ?? '').trim() === '');
}

/** A field's line breaks cannot leave the subject: they would begin a header of their own. */
export function render({ subject, body }: Template, fields: Fields): Rendered {
  return { subject: fill(subject, fields).replace(/[\r\n]+/g, ' '), body: fill(body, fields) };
}

function fill(text: string, fields: Fields): string {
  return text.replace(PLACEHOLDER, (_, inner: string) => fields[inner.trim()] ?? '');
}
