import type { SqlClient } from '../storage/sql-client.ts';
import type { Carrier } from '../trace/carrier.ts';
import type { Fence, FenceAction, FenceTarget } from './fence.ts';

interface FenceRow {
  readonly id: string;
  readonly action: FenceAction;
  readonly job_name: string | null;
  readonly campaign: string | null;
  readonly order_key: string | null;
  readonly actor: string;
  readonly reason: string;
  readonly carrier: Carrier;
  readonly added_at: Date;
  readonly lifted_at: Date | null;
  readonly lifted_by: string | null;
  readonly lift_reason: string | null;
}

type Row = FenceRow & Record<string, unknown>;

/** All that stand, the oldest first. */
export async function readStanding(client: SqlClient): Promise<Fence[]> {
  const { rows } = await client.query<Row>({
    name: 'throughline-fences-standing',
    text: 'SELECT * FROM throughline.fence WHERE lifted_at IS NULL ORDER BY id',
  });
  return rows.map(fenceOf);
}

/** Lifted ones too, the newest first. */
export async function readAll(client: SqlClient, limit: number): Promise<Fence[]> {
  const { rows } = await client.query<Row>('SELECT * FROM throughline.fence ORDER BY id DESC LIMIT $1', [
    limit,
  ]);
  return rows.map(fenceOf);
}

export async function readFence(
  client: SqlClient,
  id: string,
  { isLocked = false } = {},
): Promise<Fence | undefined> {
  if (!IS_ID.test(id)) return undefined;
  const lock = isLocked ? 'FOR UPDATE' : '';
  const { rows } = await client.query<Row>(`SELECT * FROM throughline.fence WHERE id = $1 ${lock}`, [id]);
  return rows[0] && fenceOf(rows[0]);
}

/** What fits into a bigint. */
const IS_ID = /^[1-9]\d{0,17}$/;

export interface NewFence {
  readonly action: FenceAction;
  readonly target: FenceTarget;
  readonly actor: string;
  readonly reason: string;
  readonly carrier: Carrier;
}

/** Shape: the fence; undefined when the same one stands already. */
export async function insertFence(client: SqlClient, fence: NewFence): Promise<Fence | undefined> {
  const { rows } = await client.query<Row>(
    `INSERT INTO throughline.fence (action, job_name, campaign, order_key, actor, reason, carrier)
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING *`,
    [fence.action, ...columnsOf(fence.target), fence.actor, fence.reason, JSON.stringify(fence.carrier)],
  );
  return rows[0] && fenceOf(rows[0]);
}

export async function readSame(
  client: SqlClient,
  { action, target }: Pick<NewFence, 'action' | 'target'>,
): Promise<Fence | undefined> {
  const { rows } = await client.query<Row>(
    `SELECT * FROM throughline.fence WHERE lifted_at IS NULL AND action = $1 AND job_name IS NOT DISTINCT FROM $2
     AND campaign IS NOT DISTINCT FROM $3 AND order_key IS NOT DISTINCT FROM $4`,
    [action, ...columnsOf(target)],
  );
  return rows[0] && fenceOf(rows[0]);
}

export async function markLifted(
  client: SqlClient,
  id: string,
  { actor, reason }: { readonly actor: string; readonly reason: string },
): Promise<Fence | undefined> {
  const { rows } = await client.query<Row>(
    'UPDATE throughline.fence SET lifted_at = now(), lifted_by = $2, lift_reason = $3 WHERE id = $1 RETURNING *',
    [id, actor, reason],
  );
  return rows[0] && fenceOf(rows[0]);
}

function columnsOf({ job, campaign, orderKey }: FenceTarget): (string | null)[] {
  return [job ?? null, campaign ?? null, orderKey ?? null];
}

function fenceOf(row: FenceRow): Fence {
  const { id, action, job_name, campaign, order_key, actor, reason, carrier, added_at } = row;
  const { lifted_at, lifted_by, lift_reason } = row;
  return {
    id,
    action,
    target: {
      ...(job_name !== null && { job: job_name }),
      ...(campaign !== null && { campaign }),
      ...(order_key !== null && { orderKey: order_key }),
    },
    actor,
    reason,
    addedAt: added_at.toISOString(),
    carrier,
    lifted: lifted_at
      ? { at: lifted_at.toISOString(), actor: lifted_by ?? '', reason: lift_reason ?? '' }
      : undefined,
  };
}
