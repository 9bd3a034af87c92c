import { checkNumbers, OptionsError } from '../../shared/options.ts';
import { changeRate } from '../../shared/rate/shared-rate.ts';
import { storableText } from '../../shared/storable.ts';
import type { Database } from '../../shared/storage/database.ts';
import { captureCarrier } from '../../shared/trace/carrier.ts';
import { UnknownLimitError } from './errors.ts';
import { LIMIT_CHANNEL } from './slot-gate.ts';
import { updateLimit } from './slot-rows.ts';

export interface ChangeLimitOptions {
  readonly name: string;
  readonly to: { readonly maxRunning: number } | { readonly perSecond: number; readonly burst?: number };
  /** Who does it, as the audit names them. */
  readonly actor: string;
  readonly reason: string;
}

/**
 * Changes a limit for all workers, until the code asks for another number than it did. Jobs that run go on.
 *
 * Errors: OptionsError; UnknownLimitError, UnknownRateError when no worker has declared it; DatabaseUnavailableError.
 */
export async function changeLimit(
  database: Database,
  { name, to, actor, reason }: ChangeLimitOptions,
): Promise<void> {
  if (actor.trim() === '' || reason.trim() === '')
    throw new OptionsError('changeLimit', ['actor, reason: expected who does it, and why']);
  if ('maxRunning' in to)
    checkNumbers('changeLimit', to, { maxRunning: { min: 1, max: 1_000_000, whole: true } });
  await database.transaction(async (tx) => {
    if (!('maxRunning' in to)) await changeRate(tx, `limit/${name}`, to);
    else if (!(await updateLimit(tx, { name, maxRunning: to.maxRunning }))) throw new UnknownLimitError(name);
    await tx.query(
      'INSERT INTO throughline.operator_action (actor, action, target, reason, details, carrier) VALUES ($1, $2, $3, $4, $5, $6)',
      [
        storableText(actor, 200),
        'limit.change',
        `limit ${name}`,
        storableText(reason, 1_000),
        JSON.stringify(to),
        JSON.stringify(captureCarrier()),
      ],
    );
    tx.afterCommit(() => database.notify(LIMIT_CHANNEL));
  });
}
