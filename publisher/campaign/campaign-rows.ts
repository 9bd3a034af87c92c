import { lockCampaign } from '../../shared/campaign/campaign-lock.ts';
import { isStorable } from '../../shared/storable.ts';
import type { SqlClient } from '../../shared/storage/sql-client.ts';
import type { ReservedSpan } from '../../shared/trace/durable-span.ts';
import type { CampaignDefinition } from './definition.ts';
import { UnknownCampaignError } from './errors.ts';
import type { CampaignState, ReturnState } from './state.ts';

export interface CampaignRow {
  readonly number: string;
  readonly id: string;
  readonly state: CampaignState;
  readonly returns_to: ReturnState | null;
  readonly channel: string;
  readonly category: string;
  readonly definition: CampaignDefinition;
  readonly expected_count: number | null;
  readonly tolerance: number;
  readonly starts_at: Date | null;
  readonly reason: string | null;
  readonly created_by: string;
  readonly created_at: Date;
  readonly approved_by: string | null;
  readonly approved_at: Date | null;
  readonly started_at: Date | null;
  readonly cancelled_by: string | null;
  readonly ended_at: Date | null;
  readonly span: ReservedSpan | null;
}

export interface ProgressRow {
  readonly segment: number;
  readonly after_key: string | null;
  readonly frozen: number;
  readonly repeated: number;
  readonly frozen_at: Date | null;
  readonly enqueued: number;
  readonly watch_good: number;
  readonly watch_bad: number;
}

type Row<T> = T & Record<string, unknown>;

/** Errors: UnknownCampaignError. */
export async function readCampaign(
  client: SqlClient,
  id: string,
  lock: '' | 'FOR UPDATE' = '',
): Promise<CampaignRow> {
  if (!isStorable(id)) throw new UnknownCampaignError(id);
  const { rows } = await client.query<Row<CampaignRow>>(
    `SELECT * FROM throughline.campaign WHERE id = $1 ${lock}`,
    [id],
  );
  if (!rows[0]) throw new UnknownCampaignError(id);
  return rows[0];
}

/** Until the transaction ends nobody begins to send, and nobody else changes its state. Errors: UnknownCampaignError. */
export async function takeCampaign(tx: SqlClient, id: string): Promise<CampaignRow> {
  await lockCampaign(tx, (await readCampaign(tx, id)).number);
  return readCampaign(tx, id, 'FOR UPDATE');
}

/** Campaigns in which something may have to be done, the oldest first. */
export async function openCampaigns(
  client: SqlClient,
): Promise<readonly Pick<CampaignRow, 'number' | 'id' | 'state'>[]> {
  const { rows } = await client.query<Row<CampaignRow>>({
    name: 'throughline-campaigns-open',
    text: `
      SELECT number, id, state FROM throughline.campaign
      WHERE ended_at IS NULL AND state IN ('freezing', 'frozen', 'running', 'cancelled') ORDER BY number`,
  });
  return rows;
}

/** Locks a campaign's progress. Shape: undefined while another process has it in hand, or when it was never approved. */
export async function takeProgress(tx: SqlClient, number: string): Promise<ProgressRow | undefined> {
  const { rows } = await tx.query<Row<ProgressRow>>({
    name: 'throughline-campaign-progress',
    text: 'SELECT * FROM throughline.campaign_progress WHERE campaign = $1 FOR UPDATE SKIP LOCKED',
    values: [number],
  });
  return rows[0];
}

/** Above this the campaign halts. */
export function limitOf({
  expected_count,
  tolerance,
}: Pick<CampaignRow, 'expected_count' | 'tolerance'>): number {
  const expected = expected_count ?? 0;
  return Math.floor(expected * (1 + tolerance));
}

/** Below this too: an audience that is missing is as wrong as one too many. */
export function floorOf({
  expected_count,
  tolerance,
}: Pick<CampaignRow, 'expected_count' | 'tolerance'>): number {
  const expected = expected_count ?? 0;
  return Math.ceil(expected * (1 - tolerance));
}
