import { deliverJobPrefix } from '../../shared/campaign/deliver-job.ts';
import type { LedgerTally } from '../../shared/campaign/recipient.ts';
import type { SqlClient } from '../../shared/storage/sql-client.ts';
import type { CampaignRow } from './campaign-rows.ts';

/** What is queued has to stay so for that long before it is looked into, in ms: all recipients are gone through. */
export const DEFAULT_LOST_AFTER_MS = 10_000;

interface Seen {
  readonly sinceMs: number;
  readonly tally: string;
}

/**
 * Finds recipients whose job was cancelled by a fence before it began: nobody has told the ledger. To be asked when nothing
 * can be handed over; it looks when the ledger has not changed for a while although recipients are queued.
 */
export function createLostFinder(client: SqlClient, lostAfterMs = DEFAULT_LOST_AFTER_MS) {
  const seen = new Map<string, Seen>();
  return async ({ number, id }: Pick<CampaignRow, 'number' | 'id'>, tally: LedgerTally): Promise<void> => {
    const now = { sinceMs: performance.now(), tally: JSON.stringify(tally) };
    const before = seen.get(number);
    if (before?.tally !== now.tally) seen.set(number, now);
    if (tally.queued === 0 || before?.tally !== now.tally || now.sinceMs - before.sinceMs < lostAfterMs)
      return;
    seen.delete(number);
    await client.query({
      name: 'throughline-campaign-lost',
      text: `
        UPDATE throughline.campaign_recipient r SET state = 'cancelled', changed_at = now(), reason = lost.reason
        FROM (
          SELECT r.recipient_id, i.reason FROM throughline.campaign_recipient r JOIN throughline.inbox i
            ON i.job_id = $2 || r.recipient_id || '/' || r.round AND i.state = 'cancelled'
          WHERE r.campaign = $1 AND r.state = 'queued' FOR UPDATE OF r SKIP LOCKED) lost
        WHERE r.campaign = $1 AND r.recipient_id = lost.recipient_id`,
      values: [number, deliverJobPrefix(id)],
    });
  };
}
