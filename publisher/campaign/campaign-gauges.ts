import {
  type LedgerState,
  NO_RECIPIENTS,
  publicTally,
  RECIPIENT_STATES,
} from '../../shared/campaign/recipient.ts';
import type { Database } from '../../shared/storage/database.ts';
import { observeDatabase } from '../../shared/storage/database-gauges.ts';
import type { SqlClient } from '../../shared/storage/sql-client.ts';
import { CAMPAIGN_STATES, type CampaignState } from './state.ts';

const GAUGES = ['throughline.campaigns.open', 'throughline.campaign.recipients'] as const;
const OPEN_STATES = CAMPAIGN_STATES.filter((state) => state !== 'draft' && state !== 'finished');

/** Publishes how many campaigns are in each state, and how far their recipients are. Every label set is there at 0. */
export function observeCampaigns(database: Database): { stop(): void } {
  return observeDatabase(database, GAUGES, async (client) => {
    const { campaigns, recipients } = await readOpen(client);
    const tally = publicTally({ ...NO_RECIPIENTS, ...recipients });
    return [
      ...OPEN_STATES.map((state) => ({
        gauge: 'throughline.campaigns.open' as const,
        value: campaigns[state] ?? 0,
        attributes: { state },
      })),
      ...RECIPIENT_STATES.map((state) => ({
        gauge: 'throughline.campaign.recipients' as const,
        value: tally[state],
        attributes: { state },
      })),
    ];
  });
}

interface Open {
  readonly campaigns: Partial<Record<CampaignState, number>>;
  readonly recipients: Partial<Record<LedgerState, number>>;
}

/** From the index of those that are not over, which are few of many. */
async function readOpen(client: SqlClient): Promise<Open> {
  const { rows } = await client.query<Open & Record<string, unknown>>({
    name: 'throughline-campaigns-observed',
    text: `
      WITH open AS (SELECT number, state FROM throughline.campaign WHERE ended_at IS NULL AND state <> 'draft')
      SELECT
        coalesce((SELECT json_object_agg(state, n) FROM (SELECT state, count(*)::integer AS n FROM open GROUP BY state) x), '{}')
          AS campaigns,
        coalesce((SELECT json_object_agg(state, n) FROM (
          SELECT t.state, sum(t.count)::integer AS n FROM throughline.campaign_tally t JOIN open ON open.number = t.campaign
          GROUP BY t.state) x), '{}') AS recipients`,
  });
  return rows[0] ?? { campaigns: {}, recipients: {} };
}
