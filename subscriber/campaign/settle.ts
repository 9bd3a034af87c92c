import { storableText } from '../../shared/storable.ts';
import type { SqlClient } from '../../shared/storage/sql-client.ts';
import { columnsOf, keyOf, type Settled, type Settlement } from './ledger-rows.ts';

/** Tells the ledger what came of sendings, in one statement. Errors: DatabaseUnavailableError; what PostgreSQL refuses. */
export async function settle(client: SqlClient, told: readonly Settled[]): Promise<undefined[]> {
  await hold(client, told);
  const settled = onePerRecipient(told);
  const of = <T>(pick: (settlement: Settlement) => T) => settled.map(({ settlement }) => pick(settlement));
  await client.query({
    name: 'throughline-campaign-settle',
    text: SETTLE,
    values: [
      ...columnsOf(settled),
      of(({ state }) => state),
      of(({ reference }) => (reference === undefined ? null : storableText(reference, 500))),
      of(({ reason }) => (reason === undefined ? null : storableText(reason, 1_000))),
      of(({ afterMs = 0 }) => afterMs),
      of(({ holdMs }) => holdMs !== undefined),
    ],
  });
  return told.map(() => undefined);
}

/** First, and by itself: whoever has the progress locked may be waiting for the campaign, and so for those who begin (L6). */
async function hold(client: SqlClient, told: readonly Settled[]): Promise<void> {
  const holds = told.filter(({ settlement: { holdMs = 0 } }) => holdMs > 0);
  const byCampaign = Map.groupBy(holds, ({ campaign }) => campaign);
  for (const [campaign, own] of byCampaign) {
    await client.query({
      name: 'throughline-campaign-hold',
      text: `
        UPDATE throughline.campaign_progress SET hold_until = greatest(hold_until, now() + $2::float8 * interval '1 millisecond')
        WHERE campaign = (SELECT number FROM throughline.campaign WHERE id = $1)`,
      values: [campaign, Math.max(...own.map(({ settlement: { holdMs = 0 } }) => holdMs))],
    });
  }
}

/** What is said twice of one in a group, by a sending that was given up and by the one after it: that it was sent, or the last word. */
function onePerRecipient(told: readonly Settled[]): readonly Settled[] {
  const chosen = new Map<string, Settled>();
  for (const one of told) {
    const key = keyOf(one.campaign, one.recipient, 0);
    const other = chosen.get(key);
    const isSent = other?.settlement.state === 'sent';
    if (!other || (!isSent && (one.settlement.state === 'sent' || one.round >= other.round)))
      chosen.set(key, one);
  }
  return [...chosen.values()];
}

/** L3, L4, L6. What asks for a rest is no try. */
const SETTLE = `
  WITH told AS MATERIALIZED (
    SELECT r.campaign, a.* FROM unnest($1::text[], $2::text[], $3::integer[], $4::text[], $5::text[], $6::text[],
      $7::float8[], $8::boolean[]) AS a (id, recipient_id, round, state, reference, reason, after_ms, is_rest)
    JOIN throughline.campaign c ON c.id = a.id
    JOIN throughline.campaign_recipient r ON r.campaign = c.number AND r.recipient_id = a.recipient_id
      AND ((r.round = a.round AND r.state = 'sending') OR (r.round >= a.round AND a.state = 'sent' AND r.state <> 'sent'))
    ORDER BY r.campaign, r.recipient_id FOR UPDATE OF r
  )
  UPDATE throughline.campaign_recipient r SET state = t.state, reference = t.reference, reason = t.reason, changed_at = now(),
    tries = r.tries - CASE WHEN t.is_rest THEN 1 ELSE 0 END, due_at = now() + t.after_ms * interval '1 millisecond'
  FROM told t WHERE r.campaign = t.campaign AND r.recipient_id = t.recipient_id`;
