import type { Link } from '@opentelemetry/api';
import type { Database } from '../../shared/storage/database.ts';
import { count } from '../../shared/trace/meters.ts';
import { MESSAGING_DESTINATION_NAME } from '../../shared/trace/semconv.ts';
import { inLetterSpan, type LetterReceipt, receiptOf } from './redrive.ts';
import { checkOperator, knownLetter, lockOpen, type Operator, settle } from './settle.ts';

export interface DropOptions extends Operator {
  readonly letterId: string;
  readonly reason: string;
}

/**
 * Leaves a dead job dead for good: the letter is kept until it is too old, and cannot be redriven any more.
 *
 * Errors: DeadLetterInputError; UnknownDeadLetterError; DeadLetterSettledError; DatabaseUnavailableError.
 */
export async function dropDeadLetter(database: Database, options: DropOptions): Promise<LetterReceipt> {
  return dropLetter(database, { letterId: options.letterId, operator: checkOperator('drop', options) });
}

export async function dropLetter(
  database: Database,
  {
    letterId,
    operator,
    causedBy,
  }: {
    readonly letterId: string;
    readonly operator: Required<Operator>;
    readonly causedBy?: Link | undefined;
  },
): Promise<LetterReceipt> {
  const letter = await knownLetter(database, letterId);
  const receipt = await inLetterSpan('operate dead-letter.drop', letter, causedBy, async (span) => {
    await database.transaction(async (tx) => {
      await lockOpen(tx, letter);
      await settle(tx, letter, 'drop', operator);
    });
    return receiptOf(letter, span);
  });
  count('throughline.dead_letters.dropped', { [MESSAGING_DESTINATION_NAME]: letter.topic });
  return receipt;
}
