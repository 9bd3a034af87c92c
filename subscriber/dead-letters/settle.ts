import { auditAction, type Via } from '../../shared/operator-action.ts';
import { storableText } from '../../shared/storable.ts';
import type { Transaction } from '../../shared/storage/database.ts';
import type { SqlClient } from '../../shared/storage/sql-client.ts';
import { DeadLetterInputError, DeadLetterSettledError, UnknownDeadLetterError } from './errors.ts';
import { type LetterView, readDeadLetter } from './find.ts';

/** What an operator does with a letter, and as whom. */
export interface Operator {
  /** Who does it, as the audit names them. */
  readonly actor: string;
  /** Why; required to drop, because what is dropped is never sent. At most 1,000 characters. */
  readonly reason?: string | undefined;
  /** By which way they came; kept with the audit row. */
  readonly via?: Via | undefined;
}

export type LetterAction = 'redrive' | 'drop';

const MAX_REASON_CHARS = 1_000;

/** Shape: the same, without what PostgreSQL cannot store. Errors: DeadLetterInputError. */
export function checkOperator(action: LetterAction, given: Operator): Required<Operator> {
  const actor = storableText(given.actor).trim();
  const reason = storableText(given.reason ?? '').trim();
  const issues = [
    actor === '' && 'actor: expected the name of who does it',
    action === 'drop' && reason === '' && 'reason: expected why',
    reason.length > MAX_REASON_CHARS && `reason: expected at most ${MAX_REASON_CHARS} characters`,
  ].filter((issue) => issue !== false);
  if (issues.length > 0) throw new DeadLetterInputError(`dead-letter ${action}`, issues);
  return { actor, reason: reason || undefined, via: given.via };
}

/** Errors: UnknownDeadLetterError. */
export async function knownLetter(client: SqlClient, letterId: string): Promise<LetterView> {
  const letter = await readDeadLetter(client, letterId);
  if (!letter) throw new UnknownDeadLetterError(letterId);
  return letter;
}

/** Of two operators at once the second finds what the first has done. Errors: UnknownDeadLetterError, DeadLetterSettledError. */
export async function lockOpen(tx: Transaction, letter: LetterView): Promise<void> {
  const { rows } = await tx.query<{ state: string; settled_at: Date | null; settled_by: string | null }>(
    'SELECT state, settled_at, settled_by FROM throughline.dead_letter WHERE id = $1 FOR UPDATE',
    [letter.letterId],
  );
  const [row] = rows;
  if (!row) throw new UnknownDeadLetterError(letter.letterId);
  if (row.state === 'open') return;
  const who = `${row.settled_by ?? 'somebody'} at ${row.settled_at?.toISOString() ?? 'an unknown time'}`;
  throw new DeadLetterSettledError(letter, `it was ${row.state} already, by ${who}`);
}

/** Marks a letter, with an audit row that bears the active span's context. */
export async function settle(
  tx: Transaction,
  { letterId, jobId, jobType, orderKey, sagaId, topic }: LetterView,
  action: LetterAction,
  { actor, reason, via }: Required<Operator>,
): Promise<void> {
  const state = action === 'redrive' ? 'redriven' : 'dropped';
  await tx.query(
    `UPDATE throughline.dead_letter SET state = $2, settled_at = now(), settled_by = $3, settled_reason = $4 WHERE id = $1`,
    [letterId, state, actor, reason ?? null],
  );
  await auditAction(tx, {
    actor,
    via,
    action: `dead-letter.${action}`,
    target: letterId,
    reason,
    details: { jobId, jobType, orderKey, sagaId, topic },
  });
}
