import { type LedgerTally, readTally } from '../../shared/campaign/recipient.ts';
import type { Database, Transaction } from '../../shared/storage/database.ts';
import { endedSpansSaved } from '../../shared/trace/release.ts';
import { type CampaignRow, readCampaign, takeCampaign, takeProgress } from './campaign-rows.ts';
import { tellCampaign } from './campaign-spans.ts';
import { changeByItself, type StateChange } from './change-state.ts';

/** How many recipients are settled in a transaction. */
const BATCH = 5_000;

/**
 * Settles the ledger of a campaign that was cancelled, a batch at a time: who was not sent to is cancelled. Those inside a
 * partner's call, and those that are uncertain, have still to be heard of.
 *
 * Shape: whether there is more to do at once. Errors: DatabaseUnavailableError.
 */
export async function settleCancelled(
  { number, id }: Pick<CampaignRow, 'number' | 'id'>,
  database: Database,
): Promise<boolean> {
  return database.transaction(async (tx) => {
    if (!(await takeProgress(tx, number))) return false;
    const campaign = await readCampaign(tx, id);
    if (campaign.state !== 'cancelled' || campaign.ended_at !== null) return false;
    const tally = await readTally(tx, number);
    for (const state of ['pending', 'queued'] as const) {
      const settled = tally[state] > 0 ? await cancelSome(tx, campaign, state) : 0;
      if (settled > 0) return true;
    }
    if (tally.pending + tally.queued + tally.sending + tally.uncertain === 0)
      await endCampaign(tx, campaign, { action: 'settled', to: 'cancelled' }, tally);
    return false;
  });
}

/** Those that wait have an index; for those that are queued, which are few, the whole ledger is gone through. */
async function cancelSome(
  tx: Transaction,
  { number, reason }: CampaignRow,
  state: 'pending' | 'queued',
): Promise<number> {
  const { rowCount } = await tx.query(
    `UPDATE throughline.campaign_recipient r SET state = 'cancelled', reason = $2, changed_at = now()
     WHERE campaign = $1 AND state = '${state}' AND recipient_id = ANY(ARRAY(
       SELECT recipient_id FROM throughline.campaign_recipient
       WHERE campaign = $1 AND state = '${state}' LIMIT ${BATCH} FOR UPDATE SKIP LOCKED))`,
    [number, reason],
  );
  return rowCount ?? 0;
}

/**
 * Ends a campaign whose recipients' states are all final, unless an operator has changed its state meanwhile. Its span is told
 * first: after the commit nobody would do it again.
 */
export async function endCampaign(
  tx: Transaction,
  campaign: CampaignRow,
  change: StateChange,
  tally: LedgerTally,
): Promise<void> {
  const { state, ended_at } = await takeCampaign(tx, campaign.id);
  if (state !== campaign.state || ended_at !== null) return;
  await tellCampaign(tx, campaign, change.to, tally);
  await endedSpansSaved();
  await changeByItself(tx, campaign, { ...change, details: tally });
}
