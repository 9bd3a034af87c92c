import { lockCampaign } from '../../shared/campaign/campaign-lock.ts';
import { auditAction } from '../../shared/operator-action.ts';
import type { Transaction } from '../../shared/storage/database.ts';
import type { CampaignRow } from './campaign-rows.ts';
import type { CampaignState, ReturnState } from './state.ts';

/** Who does what a campaign does by itself, as the audit names them. */
export const ITSELF = 'throughline';

export interface StateChange {
  /** `settled`: nothing is left to be decided of one that was cancelled. */
  readonly action: 'frozen' | 'started' | 'halted' | 'finished' | 'settled';
  readonly to: CampaignState;
  readonly returnsTo?: ReturnState;
  /** Kept with the campaign, and with the action. */
  readonly reason?: string;
  readonly details?: object;
}

/**
 * For what a campaign does by itself: recorded as an operator's actions are.
 *
 * Shape: false when an operator changed its state meanwhile; then nothing is done.
 */
export async function changeByItself(
  tx: Transaction,
  { number, id, state }: Pick<CampaignRow, 'number' | 'id' | 'state'>,
  { action, to, returnsTo, reason, details = {} }: StateChange,
): Promise<boolean> {
  await lockCampaign(tx, number);
  const isOver = action === 'finished' || action === 'settled';
  const { rowCount } = await tx.query(
    `UPDATE throughline.campaign SET state = $3, returns_to = $4, reason = coalesce($5, reason),
       started_at = CASE WHEN $3 = 'running' THEN coalesce(started_at, now()) ELSE started_at END,
       ended_at = CASE WHEN $6 THEN now() ELSE ended_at END
     WHERE number = $1 AND state = $2 AND ended_at IS NULL`,
    [number, state, to, returnsTo ?? null, reason ?? null, isOver],
  );
  if (rowCount === 0) return false;
  const act = { actor: ITSELF, via: undefined, action: `campaign.${action}`, target: id };
  await auditAction(tx, { ...act, reason, details });
  return true;
}
