import { deliverJobPrefix } from '../../shared/campaign/deliver-job.ts';
import type { SqlClient } from '../../shared/storage/sql-client.ts';
import type { CampaignRow } from './campaign-rows.ts';

/** Between two looks at a campaign, in ms: all its recipients are gone through. */
const LOOK_EVERY_MS = 10_000;

/**
 * Finds recipients whose job was cancelled by a fence before it began: nobody has told the ledger. To be asked when there is
 * nothing else to be handed over.
 */
export function createLostFinder(client: SqlClient) {
  const lookedMs = new Map<string, number>();
  return async ({ number, id }: Pick<CampaignRow, 'number' | 'id'>): Promise<void> => {
    const nowMs = performance.now();
    if (nowMs - (lookedMs.get(number) ?? Number.NEGATIVE_INFINITY) < LOOK_EVERY_MS) return;
    lookedMs.set(number, nowMs);
    await client.query({
      name: 'throughline-campaign-lost',
      text: `
        UPDATE throughline.campaign_recipient r SET state = 'cancelled', changed_at = now(), reason = i.reason
        FROM throughline.inbox i
        WHERE r.campaign = $1 AND r.state = 'queued' AND i.state = 'cancelled'
          AND i.job_id = $2 || r.recipient_id || '/' || r.round`,
      values: [number, deliverJobPrefix(id)],
    });
  };
}
