import { errorType } from './trace/record-error.ts';

/** Causes can go in a circle, and parts of an aggregate in the thousands. */
const MAX_CAUSES = 5;
const MAX_PARTS = 5;
const MAX_TEXT_CHARS = 500;

/** In these PostgreSQL quotes rows, keys and parameters. */
const QUOTING = new Set(['detail', 'where', 'hint', 'internalQuery', 'query', 'body', 'text', 'input']);
const TOLD_ALREADY = new Set(['name', 'message', 'stack', 'cause', 'errors', 'type']);

/**
 * An error as fields of a log line: what it is, what it says, where, and what caused it.
 *
 * Of its own fields only numbers, booleans and texts are told: what libraries hang on errors besides (the request, its
 * headers and body, the row that did not fit) is where personal data hides.
 *
 * Shape:  { type, message, stack, … } of an error; anything that is no error stays as it is.
 * Errors: none, whatever was thrown.
 */
export function errorFields(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return error;
  const fields: Record<string, unknown> = {
    type: errorType(error),
    message: String(error.message),
    stack: error.stack,
  };
  for (const [name, value] of Object.entries(error)) {
    if (TOLD_ALREADY.has(name) || QUOTING.has(name)) continue;
    if (typeof value === 'number' || typeof value === 'boolean') fields[name] = value;
    if (typeof value === 'string') fields[name] = value.slice(0, MAX_TEXT_CHARS);
  }
  if (depth >= MAX_CAUSES) return fields;
  if (error.cause instanceof Error) fields['cause'] = errorFields(error.cause, depth + 1);
  const { errors } = error as { errors?: unknown };
  if (Array.isArray(errors))
    fields['errors'] = errors
      .filter((part) => part instanceof Error)
      .slice(0, MAX_PARTS)
      .map((part) => errorFields(part, depth + 1));
  return fields;
}
