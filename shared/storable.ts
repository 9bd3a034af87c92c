import { ThroughlineError } from './errors.ts';

/**
 * What PostgreSQL can give back. Its text holds no NUL; its JSON functions read neither `\u0000` nor half of a surrogate
 * pair, although a column of type `json` takes both.
 */

/** Text for people: without what cannot be stored, and cut between two characters. `maxChars` counts UTF-16 units. */
export function storableText(text: string, maxChars = text.length): string {
  const cut = maxChars < text.length ? text.slice(0, maxChars).replace(/[\ud800-\udbff]$/, '') : text;
  return cut.replaceAll('\0', '').toWellFormed();
}

/** All that `JSON.stringify` leaves of what cannot be stored; found as well in text that merely spells such an escape. */
const SUSPECT = /\\u0000|\\ud[89a-f]/;

/**
 * Looks for text that cannot be stored in what `JSON.stringify` wrote. Data that a program relies on is not to be mended.
 *
 * Shape: the path of the first such text or key, joined by dots, empty for the value itself; undefined: there is none.
 */
export function findUnstorable(json: string): string | undefined {
  return SUSPECT.test(json) ? pathTo(JSON.parse(json), []) : undefined;
}

function pathTo(value: unknown, path: readonly string[]): string | undefined {
  if (typeof value === 'string') return isStorable(value) ? undefined : path.join('.');
  if (typeof value !== 'object' || value === null) return undefined;
  for (const [key, part] of Object.entries(value)) {
    const here = [...path, storableText(key)];
    const found = isStorable(key) ? pathTo(part, here) : here.join('.');
    if (found !== undefined) return found;
  }
  return undefined;
}

export function isStorable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed();
}

/** Data that a program goes on with holds text that PostgreSQL cannot give back; `path` says where. */
export class UnstorableDataError extends ThroughlineError {
  override readonly name = 'UnstorableDataError';
  readonly code = 'DATA_UNSTORABLE';
  readonly path: string;

  constructor(path: string) {
    super(`${path}: ${STORABLE}`);
    this.path = path;
  }
}

/** What is expected of text in data. */
export const STORABLE = 'expected text without NUL and without halves of surrogate pairs';

/** `root` names what `JSON.stringify` made `json` of. Errors: UnstorableDataError. */
export function refuseUnstorable(json: string, root: string): void {
  const path = findUnstorable(json);
  if (path !== undefined) throw new UnstorableDataError([root, path].filter(Boolean).join('.'));
}
