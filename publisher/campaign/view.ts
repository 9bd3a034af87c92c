import {
  type LedgerTally,
  NO_RECIPIENTS,
  publicTally,
  type Tally,
  totalOf,
} from '../../shared/campaign/recipient.ts';
import type { SqlClient } from '../../shared/storage/sql-client.ts';
import { spanContextOf } from '../../shared/trace/carrier.ts';
import { type CampaignRow, readCampaign } from './campaign-rows.ts';
import type { CampaignDefinition } from './definition.ts';
import type { CampaignState } from './state.ts';

/** A campaign as operators see it. Times are RFC 3339. */
export interface CampaignView {
  readonly id: string;
  readonly state: CampaignState;
  /** Why it is paused, halted or cancelled. */
  readonly reason: string | undefined;
  readonly definition: CampaignDefinition;
  readonly createdBy: string;
  readonly createdAt: string;
  readonly approvedBy: string | undefined;
  readonly expectedCount: number | undefined;
  readonly tolerance: number;
  /** Undefined: nobody has started it. */
  readonly startsAt: string | undefined;
  readonly startedAt: string | undefined;
  readonly endedAt: string | undefined;
  /** Rows in the ledger; counted while they were written, apart from what became of them. */
  readonly frozen: number;
  /** Were in the ledger already: in two segments, or with somebody else's address. */
  readonly repeated: number;
  /** False while the audience is being written. */
  readonly isFrozen: boolean;
  readonly recipients: Tally;
  /** Of the pending ones: in the queue, and inside a partner's call. */
  readonly underWay: { readonly queued: number; readonly sending: number };
  /** Whether frozen = sent + suppressed + cancelled + failed + uncertain + pending. */
  readonly addsUp: boolean;
  /** Settled recipients per second since it started; undefined before. */
  readonly perSecond: number | undefined;
  /** Until nothing is pending, at that rate, in s. */
  readonly secondsLeft: number | undefined;
  readonly traceId: string | undefined;
}

interface ViewRow extends CampaignRow {
  readonly frozen: number | null;
  readonly repeated: number | null;
  readonly frozen_at: Date | null;
  readonly running_s: number | null;
  readonly counts: Partial<LedgerTally> | null;
}

/** One statement, so that what is counted is counted at one moment. */
const SELECT = `
  SELECT c.*, p.frozen, p.repeated, p.frozen_at,
    extract(epoch FROM coalesce(c.ended_at, now()) - c.started_at)::float8 AS running_s,
    (SELECT json_object_agg(state, n) FROM (
      SELECT state, sum(count)::integer AS n FROM throughline.campaign_tally t WHERE t.campaign = c.number GROUP BY state) x
    ) AS counts
  FROM throughline.campaign c LEFT JOIN throughline.campaign_progress p ON p.campaign = c.number`;

/** Errors: UnknownCampaignError, DatabaseUnavailableError. */
export async function viewCampaign(client: SqlClient, campaignId: string): Promise<CampaignView> {
  const { rows } = await client.query<ViewRow & Record<string, unknown>>(`${SELECT} WHERE c.id = $1`, [
    campaignId,
  ]);
  if (!rows[0]) await readCampaign(client, campaignId);
  return viewOf(rows[0] as ViewRow);
}

export interface ListCampaignsOptions {
  readonly states?: readonly CampaignState[];
  /** Default 100. */
  readonly limit?: number;
}

/** The newest first. Errors: DatabaseUnavailableError. */
export async function listCampaigns(
  client: SqlClient,
  { states, limit = 100 }: ListCampaignsOptions = {},
): Promise<CampaignView[]> {
  const { rows } = await client.query<ViewRow & Record<string, unknown>>(
    `${SELECT} WHERE $1::text[] IS NULL OR c.state = ANY($1) ORDER BY c.number DESC LIMIT $2`,
    [states ?? null, limit],
  );
  return rows.map(viewOf);
}

function viewOf(row: ViewRow): CampaignView {
  const { queued = 0, sending = 0, ...rest } = { ...NO_RECIPIENTS, ...row.counts };
  const recipients = publicTally({ ...rest, queued, sending });
  const frozen = row.frozen ?? 0;
  const settled = totalOf(recipients) - recipients.pending - recipients.cancelled;
  const perSecond = row.running_s && row.running_s > 0 ? settled / row.running_s : undefined;
  return {
    id: row.id,
    state: row.state,
    reason: row.reason ?? undefined,
    definition: row.definition,
    createdBy: row.created_by,
    createdAt: row.created_at.toISOString(),
    approvedBy: row.approved_by ?? undefined,
    expectedCount: row.expected_count ?? undefined,
    tolerance: row.tolerance,
    startsAt: row.starts_at?.toISOString(),
    startedAt: row.started_at?.toISOString(),
    endedAt: row.ended_at?.toISOString(),
    frozen,
    repeated: row.repeated ?? 0,
    isFrozen: row.frozen_at !== null,
    recipients,
    underWay: { queued, sending },
    addsUp: totalOf(recipients) === frozen,
    perSecond,
    secondsLeft: perSecond ? recipients.pending / perSecond : undefined,
    traceId: spanContextOf(row.span?.self)?.traceId,
  };
}
