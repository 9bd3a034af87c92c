import type { DeliverPayload } from '../../shared/campaign/deliver-job.ts';
import { storableText } from '../../shared/storable.ts';
import type { SqlClient } from '../../shared/storage/sql-client.ts';
import { GIVEN_UP } from './ledger-rows.ts';

/**
 * Gives up a recipient whose job is dead: nothing was sent, or somebody has to ask. In the transaction that records the death.
 */
export async function giveUp(
  client: SqlClient,
  { campaign, recipient, round }: DeliverPayload,
  reason: string,
): Promise<void> {
  await client.query(
    `UPDATE throughline.campaign_recipient r SET state = CASE r.state WHEN 'queued' THEN 'failed' ELSE 'uncertain' END,
       reason = $4, due_at = now(), changed_at = now()
     FROM throughline.campaign c
     WHERE c.id = $1 AND r.campaign = c.number AND r.recipient_id = $2 AND r.round = $3 AND r.state IN ('queued', 'sending')`,
    [campaign, recipient, round, storableText(`${GIVEN_UP}${reason}`, 1_000)],
  );
}
