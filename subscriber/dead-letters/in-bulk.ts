import { setTimeout as delay } from 'node:timers/promises';
import { type Link, SpanKind } from '@opentelemetry/api';
import { checkNumbers } from '../../shared/options.ts';
import type { Database } from '../../shared/storage/database.ts';
import { inSpan } from '../../shared/trace/in-span.ts';
import { linkTo } from '../../shared/trace/links.ts';
import { DEAD_LETTERS_SETTLED } from '../../shared/trace/semconv.ts';
import { dropLetter } from './drop.ts';
import { DeadLetterRefusedError, UnknownDeadLetterError } from './errors.ts';
import { type LetterCursor, type LetterFilter, openPage } from './find.ts';
import { type LetterReceipt, type MessageOutbox, redriveLetter } from './redrive.ts';
import { checkOperator, type LetterAction, type Operator } from './settle.ts';

/** All open letters of a filter; `states` is not asked. */
export interface BulkOptions extends Operator {
  readonly filter: Omit<LetterFilter, 'states'>;
  /** At most so many letters, counting those that are refused. Default: all. */
  readonly limit?: number | undefined;
  /** Stops between two letters; what was done stays done, and the next run goes on with the others. */
  readonly signal?: AbortSignal;
  /** Called after each letter. */
  readonly onLetter?: (result: BulkLetter) => void;
}

export interface BulkRedriveOptions extends BulkOptions {
  /** At most so many letters a second, evenly spaced: above 0, at most 1,000. Default 10. */
  readonly perSecond?: number;
}

export interface BulkDropOptions extends BulkOptions {
  readonly reason: string;
}

/** Either a receipt or the refusal that left the letter as it was. */
export type BulkLetter = { readonly receipt: LetterReceipt } | { readonly refusal: DeadLetterRefusedError };

export interface BulkReport {
  /** Letters that were redriven or dropped. */
  readonly settled: number;
  /** Letters that were left as they are, by the `code` of the reason. */
  readonly refused: Readonly<Record<string, number>>;
  /** True when `signal` ended it before all were done. */
  readonly isStopped: boolean;
  /** Of the operator's span; undefined when nothing is traced. */
  readonly traceId: string | undefined;
}

/**
 * Redrives all open letters of a filter, the oldest death first, each in a transaction and a trace of its own that is linked
 * to the active span's. Letters that are stored meanwhile, those of jobs that die again included, are left alone.
 *
 * Errors: OptionsError; DeadLetterInputError; DatabaseUnavailableError, after which `onLetter` has told what was done.
 */
export function redriveDeadLetters(
  database: Database,
  outbox: MessageOutbox,
  options: BulkRedriveOptions,
): Promise<BulkReport> {
  checkNumbers('redriveDeadLetters', options, { perSecond: { min: 0.001, max: 1_000 } });
  const { perSecond = 10 } = options;
  const operator = checkOperator('redrive', options);
  return inBulk(database, 'redrive', options, 1_000 / perSecond, (letterId, causedBy) =>
    redriveLetter(database, outbox, { letterId, operator, causedBy }),
  );
}

/** Drops all open letters of a filter, as `redriveDeadLetters` redrives them. */
export function dropDeadLetters(database: Database, options: BulkDropOptions): Promise<BulkReport> {
  const operator = checkOperator('drop', options);
  return inBulk(database, 'drop', options, 0, (letterId, causedBy) =>
    dropLetter(database, { letterId, operator, causedBy }),
  );
}

const PAGE_LETTERS = 200;

async function inBulk(
  database: Database,
  action: LetterAction,
  { filter, limit = Number.POSITIVE_INFINITY, signal, onLetter }: BulkOptions,
  everyMs: number,
  act: (letterId: string, causedBy: Link | undefined) => Promise<LetterReceipt>,
): Promise<BulkReport> {
  return inSpan(`operate dead-letter.${action}`, { kind: SpanKind.INTERNAL }, async (span) => {
    const causedBy = linkTo(span.spanContext(), 'caused-by');
    const refused: Record<string, number> = {};
    let settled = 0;
    const one = async (letterId: string): Promise<BulkLetter | undefined> => {
      try {
        const receipt = await act(letterId, causedBy);
        settled += 1;
        return { receipt };
      } catch (error) {
        if (error instanceof UnknownDeadLetterError) return undefined; // it was too old, just now
        if (!(error instanceof DeadLetterRefusedError)) throw error;
        refused[error.code] = (refused[error.code] ?? 0) + 1;
        return { refusal: error };
      }
    };
    const pace = createPace(everyMs, signal);
    for await (const letterId of openLetters(database, filter, limit)) {
      if (!(await pace())) break;
      const result = await one(letterId);
      if (result) onLetter?.(result);
    }
    span.setAttribute(DEAD_LETTERS_SETTLED, settled);
    const traceId = span.isRecording() ? span.spanContext().traceId : undefined;
    return { settled, refused, isStopped: signal?.aborted ?? false, traceId };
  });
}

/** Pages of what was stored by now, so that a job that dies again of its redrive is not taken up once more. */
async function* openLetters(database: Database, filter: LetterFilter, limit: number): AsyncGenerator<string> {
  const { rows } = await database.query<{ now: string }>('SELECT now()::text AS now');
  const keptBy = rows[0]?.now ?? 'now';
  let after: LetterCursor | undefined;
  let left = limit;
  while (left > 0) {
    const page = await openPage(database, filter, { after, keptBy, limit: Math.min(left, PAGE_LETTERS) });
    for (const { letterId } of page) yield letterId;
    after = page.at(-1);
    left -= page.length;
    if (page.length < PAGE_LETTERS) return;
  }
}

/** Evenly spaced, and never faster to make up for lost time. Shape: false once it is to stop. */
function createPace(everyMs: number, signal: AbortSignal | undefined): () => Promise<boolean> {
  let dueMs = performance.now();
  return async () => {
    const waitMs = dueMs - performance.now();
    if (waitMs > 0) await delay(waitMs, undefined, signal && { signal }).catch(() => {});
    dueMs = Math.max(dueMs, performance.now()) + everyMs;
    return !signal?.aborted;
  };
}
