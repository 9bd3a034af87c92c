import { CommanderError } from 'commander';
import { printable } from '../insight/printable.ts';
import { CampaignInputError } from '../publisher/campaign/index.ts';
import { SagaInputError } from '../publisher/saga/index.ts';
import { ConfigError } from '../shared/config.ts';
import { ThroughlineError } from '../shared/errors.ts';
import { OptionsError } from '../shared/options.ts';
import { CursorError } from '../shared/storage/cursor.ts';
import { DatabaseUnavailableError } from '../shared/storage/database.ts';
import { SchemaError } from '../shared/storage/migrate.ts';
import { DeadLetterInputError } from '../subscriber/index.ts';

/**
 * What scripts can trust. `usage`: arguments or settings are wrong, and nothing was done. `attention`: the command did its work,
 * and what it found is for a person to look at.
 */
export const EXIT = { ok: 0, failure: 1, usage: 2, attention: 3 } as const;

/** Arguments or settings with which the command cannot do anything. */
export class UsageError extends ThroughlineError {
  override readonly name = 'UsageError';
  readonly code = 'USAGE';
}

/** The question was answered with no. */
export class DeclinedError extends ThroughlineError {
  override readonly name = 'DeclinedError';
  readonly code = 'DECLINED';
}

/** Wrong arguments or settings, whoever found out. */
const USAGE_ERRORS = [
  UsageError,
  ConfigError,
  OptionsError,
  SagaInputError,
  DeadLetterInputError,
  CursorError,
  CampaignInputError,
];

export function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  return USAGE_ERRORS.some((kind) => error instanceof kind) ? EXIT.usage : EXIT.failure;
}

/** One line for people; empty when commander has said it already. Errors: none. */
export function explain(error: unknown): string {
  if (error instanceof CommanderError) return '';
  return `throughline: ${printable(sentence(error))}`;
}

function sentence(error: unknown): string {
  if (error instanceof ConfigError) return `wrong settings: ${error.problems.join('; ')}`;
  if (error instanceof SchemaError) {
    const [what = ''] = error.message.split('\n');
    return `${what}: ${error.problems.map((problem) => problem.trim()).join('; ')}`;
  }
  if (error instanceof DatabaseUnavailableError) return unavailable(error);
  if (isSchemaMissing(error))
    return 'the database is not migrated, or not as far as this version needs it; run: throughline db migrate';
  return error instanceof Error ? error.message || error.name : String(error);
}

function unavailable({ cause, message, outcomeUnknown }: DatabaseUnavailableError): string {
  // A name with several addresses fails with one error for each, and no message of its own.
  const [first] = cause instanceof AggregateError ? (cause.errors as unknown[]) : [];
  const why = first instanceof Error ? `PostgreSQL is not available: ${first.message}` : message;
  return outcomeUnknown ? `${why} (whether it was done is not known: look before you repeat it)` : why;
}

/** PostgreSQL's undefined_table, invalid_schema_name and undefined_column. */
const SCHEMA_MISSING = new Set(['42P01', '3F000', '42703']);

function isSchemaMissing(error: unknown): boolean {
  const { code } = error instanceof Error ? (error as { code?: unknown }) : {};
  return typeof code === 'string' && SCHEMA_MISSING.has(code);
}

/** Why `fetch` got no answer: its error says only that it failed, its cause has the code. */
export function reasonOf(error: unknown): string {
  const { cause, message } = error as Error;
  return cause instanceof Error ? (cause as NodeJS.ErrnoException).code || cause.message : message;
}
