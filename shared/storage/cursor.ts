import { ThroughlineError } from '../errors.ts';

/** What was given as a place in a list is none that the list has given out. */
export class CursorError extends ThroughlineError {
  override readonly name = 'CursorError';
  readonly code = 'CURSOR_INVALID';

  constructor() {
    super('after: expected what the page before gave as `next`');
  }
}

/** A place in a list, for the next page: the values by which the last row was ordered, as one word. */
export function encodeCursor(values: readonly string[]): string {
  return Buffer.from(JSON.stringify(values)).toString('base64url');
}

/** Shape: so many values. Errors: CursorError. */
export function decodeCursor(cursor: string, count: number): string[] {
  let values: unknown;
  try {
    values = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch {
    throw new CursorError();
  }
  if (!Array.isArray(values) || values.length !== count || !values.every(isText)) throw new CursorError();
  return values;
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.isWellFormed() && !value.includes('\0');
}
