import { storableText } from '../shared/storable.ts';
import type { SqlClient } from '../shared/storage/sql-client.ts';
import type { Carrier } from '../shared/trace/carrier.ts';
import type { StoredLink } from '../shared/trace/links.ts';
import { type Claim, FinishBlockedError, type JobKey, type Refusal } from './claim.ts';

/** This worker process, and how long it may be silent. */
export interface ClaimOwner {
  readonly consumer: string;
  readonly worker: string;
  readonly claimMs: number;
}

/** Claims what can be claimed, and tells of each other job why it cannot. Shape: one answer per job, in order. */
export async function claimJobs(
  client: SqlClient,
  owner: ClaimOwner,
  jobs: readonly JobKey[],
): Promise<(Claim | Refusal)[]> {
  // A statement must not claim one job twice; in a stable order two workers cannot wait for each other.
  const distinct = [...new Map(jobs.map((job) => [job.jobId, job])).values()].sort((one, other) =>
    one.jobId < other.jobId ? -1 : 1,
  );
  const ids = distinct.map(({ jobId }) => jobId);
  const { rows } = await client.query<{ job_id: string; attempt: number; lost: number; redrives: number }>({
    name: 'throughline-inbox-claim',
    text: CLAIM,
    values: [
      ...[owner.consumer, owner.worker, ids, distinct.map(({ jobType }) => jobType), owner.claimMs],
      distinct.map(({ orderKey }) => (orderKey === undefined ? null : storableText(orderKey))),
      distinct.map(({ traceparent }) => traceparent ?? null),
    ],
  });
  const claimed = new Map(rows.map((row) => [row.job_id, row]));
  const others = ids.filter((id) => !claimed.has(id));
  const refusals = others.length > 0 ? await explain(client, owner, others) : new Map<string, Refusal>();
  const given = new Set<string>();
  return jobs.map(({ jobId }) => {
    const row = claimed.get(jobId);
    if (!row || given.has(jobId)) return refusals.get(jobId) ?? { kind: 'held', forMs: owner.claimMs };
    given.add(jobId);
    return { consumer: owner.consumer, jobId, attempt: row.attempt, lost: row.lost, redrives: row.redrives };
  });
}

/** I2, I3, I4. A claim that expired is the same attempt; one that was released makes the next attempt. */
const CLAIM = `
  INSERT INTO throughline.inbox AS i (consumer, job_id, job_type, state, attempt, claimed_by, claim_until, claimed_at, order_key, traceparent)
  SELECT $1, x.job_id, x.job_type, 'claimed', 1, $2::uuid, now() + $5 * interval '1 millisecond', now(), x.order_key, x.traceparent
  FROM unnest($3::text[], $4::text[], $6::text[], $7::text[]) AS x (job_id, job_type, order_key, traceparent)
  WHERE NOT EXISTS (SELECT FROM throughline.inbox t WHERE t.consumer = '*' AND t.job_id = x.job_id)
  ON CONFLICT (consumer, job_id) DO UPDATE SET
    state = 'claimed', claimed_by = excluded.claimed_by, claim_until = excluded.claim_until, claimed_at = now(),
    traceparent = excluded.traceparent,
    attempt = i.attempt + CASE WHEN i.state = 'waiting' THEN 1 ELSE 0 END,
    lost = i.lost + CASE WHEN i.state = 'claimed' THEN 1 ELSE 0 END
  WHERE i.state = 'waiting' OR (i.state = 'claimed' AND i.claim_until < now())
  RETURNING job_id, attempt, lost, redrives`;

interface RefusedRow {
  readonly job_id: string;
  readonly consumer: string;
  readonly state: string;
  readonly attempt: number;
  readonly redrives: number;
  readonly reason: string | null;
  readonly for_ms: number | null;
  readonly start_ms: number | null;
  readonly end_ms: number | null;
}

/** Why jobs were not claimed. Those that are over need not be sent any more either. */
async function explain(
  client: SqlClient,
  { consumer }: ClaimOwner,
  ids: readonly string[],
): Promise<Map<string, Refusal>> {
  const { rows } = await client.query<RefusedRow & Record<string, unknown>>({
    name: 'throughline-inbox-explain',
    text: `
      SELECT job_id, consumer, state, attempt, redrives, reason,
        extract(epoch FROM claim_until - now())::float8 * 1000 AS for_ms,
        extract(epoch FROM claimed_at)::float8 * 1000 AS start_ms,
        extract(epoch FROM finished_at)::float8 * 1000 AS end_ms
      FROM throughline.inbox WHERE consumer IN ($1, '*') AND job_id = ANY($2::text[])
      ORDER BY consumer = '*' DESC`,
    values: [consumer, ids],
  });
  const over = rows.filter(({ state }) => state !== 'claimed' && state !== 'waiting');
  if (over.length > 0)
    await removeUnneeded(client, consumer, [...new Set(over.map(({ job_id }) => job_id))].sort());
  return new Map(rows.map((row) => [row.job_id, refusalOf(row)]));
}

/**
 * A row that stays locked for too long stays: it is sent again, and removed when that is refused. No claim fails for it.
 * A job that was redriven since it was looked up is not over any more, and its row is a new one.
 */
async function removeUnneeded(client: SqlClient, consumer: string, ids: readonly string[]): Promise<void> {
  const query = client.query({
    name: 'throughline-inbox-unneeded',
    text: `
      DELETE FROM throughline.outbox o WHERE job_id = ANY($1::text[]) AND EXISTS (
        SELECT FROM throughline.inbox i WHERE i.job_id = o.job_id AND i.consumer IN ($2, '*')
          AND i.state NOT IN ('claimed', 'waiting'))`,
    values: [ids, consumer],
  });
  await query.catch((error) => {
    if (!isLockTimeout(error)) throw error;
  });
}

function refusalOf({ state, attempt, redrives, reason, for_ms, start_ms, end_ms }: RefusedRow): Refusal {
  const run = { attempt, redrives, startMs: start_ms ?? 0, endMs: end_ms ?? 0 };
  if (state === 'done') return { kind: 'done', ...run };
  if (state === 'dead') return { kind: 'dead', reason: reason ?? 'given up', ...run };
  if (state === 'cancelled') return { kind: 'cancelled', reason: reason ?? 'cancelled' };
  return { kind: 'held', forMs: Math.max(0, for_ms ?? 0) };
}

export interface FinishOptions {
  /** Default `done`. */
  readonly state?: 'done' | 'dead' | 'cancelled';
  readonly reason?: string;
  /** Of a cancelled job: who did it, and by which fence. */
  readonly cancelledBy?: string;
  readonly fenceId?: string | undefined;
}

/** What a job left that is finished. */
export interface Finished {
  /** Its row in the outbox, which no relay had marked as sent: it waited to be sent again, or its relay died. */
  readonly unmarked: UnmarkedSend | null;
}

export interface UnmarkedSend {
  readonly rowId: string;
  readonly topic: string;
  /** How often it had been sent before. */
  readonly sends: number;
  readonly carrier: Carrier;
  readonly links: readonly StoredLink[] | null;
  readonly late: boolean;
}

/**
 * Records the end of jobs and takes them out of the outbox.
 *
 * Shape:  per claim what its job left; undefined: it was not held any more.
 * Errors: FinishBlockedError.
 */
export async function finishJobs(
  client: SqlClient,
  { consumer, worker }: ClaimOwner,
  claims: readonly Claim[],
  { state = 'done', reason, cancelledBy, fenceId }: FinishOptions = {},
): Promise<(Finished | undefined)[]> {
  const query = client.query<Finished & { readonly job_id: string }>({
    name: 'throughline-inbox-finish',
    text: `
      WITH finished AS (
        UPDATE throughline.inbox SET state = $4, reason = $5, finished_at = now(), claimed_by = NULL, claim_until = NULL,
          cancelled_by = $6, fence_id = $7::bigint
        WHERE consumer = $1 AND job_id = ANY($3::text[]) AND claimed_by = $2::uuid AND state = 'claimed'
        RETURNING job_id
      ), unneeded AS (
        DELETE FROM throughline.outbox o USING finished f WHERE o.job_id = f.job_id AND o.job_id = ANY($3::text[])
        RETURNING o.job_id, CASE WHEN sent_at IS NULL THEN
          json_build_object('rowId', id::text, 'topic', topic, 'sends', sends, 'carrier', carrier, 'links', links, 'late', late)
            END AS unmarked
      )
      SELECT job_id, unmarked FROM finished LEFT JOIN unneeded USING (job_id)`,
    values: [
      consumer,
      worker,
      claims.map(({ jobId }) => jobId).sort(),
      state,
      reason === undefined ? null : storableText(reason, 2_000),
      cancelledBy ?? null,
      fenceId ?? null,
    ],
  });
  const { rows } = await query.catch((cause) => {
    throw isLockTimeout(cause) ? new FinishBlockedError({ cause }) : cause;
  });
  const finished = new Map(rows.map((row) => [row.job_id, row]));
  return claims.map(({ jobId }) => finished.get(jobId));
}

/** 55P03, lock_not_available. */
function isLockTimeout(error: unknown): boolean {
  return (error as { code?: unknown } | undefined)?.code === '55P03';
}

/** A run that does not count as an attempt leaves the number to the next. */
export async function releaseJob(
  client: SqlClient,
  { consumer, worker }: ClaimOwner,
  { jobId }: Claim,
  counts: boolean,
): Promise<void> {
  await client.query({
    name: 'throughline-inbox-release',
    text: `
      UPDATE throughline.inbox SET state = 'waiting', claimed_by = NULL, claim_until = NULL,
        attempt = attempt - CASE WHEN $4::boolean THEN 0 ELSE 1 END
      WHERE consumer = $1 AND job_id = $3 AND claimed_by = $2::uuid AND state = 'claimed'`,
    values: [consumer, worker, jobId, counts],
  });
}

/** Releases a job that a fence pauses. The outbox need not send it again meanwhile: each delivery that comes puts that off. */
export async function releasePaused(
  client: SqlClient,
  { consumer, worker }: ClaimOwner,
  { jobId }: Claim,
): Promise<void> {
  await client.query({
    name: 'throughline-inbox-release-paused',
    text: `
      WITH released AS (
        UPDATE throughline.inbox SET state = 'waiting', claimed_by = NULL, claim_until = NULL, attempt = attempt - 1
        WHERE consumer = $1 AND job_id = $3 AND claimed_by = $2::uuid AND state = 'claimed'
        RETURNING job_id
      )
      UPDATE throughline.outbox o SET sent_at = now() FROM released r WHERE o.job_id = r.job_id AND o.sent_at IS NOT NULL`,
    values: [consumer, worker, jobId],
  });
}

/** Whether a job is recorded as done: for who does not know what became of a commit. */
export async function isDone(client: SqlClient, { consumer, jobId }: Claim): Promise<boolean> {
  const { rowCount } = await client.query(
    `SELECT FROM throughline.inbox WHERE consumer = $1 AND job_id = $2 AND state = 'done'`,
    [consumer, jobId],
  );
  return rowCount === 1;
}

/**
 * Renews claims. Whoever has a row locked (this worker, that is just finishing the job) is not waited for: two statements that lock
 * many rows in orders of their own would wait for each other. Such a claim holds without being renewed, while half of its time is left.
 *
 * Shape: the jobs whose claims are still this worker's.
 */
export async function renewClaims(
  client: SqlClient,
  { consumer, worker, claimMs }: ClaimOwner,
  ids: readonly string[],
): Promise<Set<string>> {
  const { rows } = await client.query<{ job_id: string }>({
    name: 'throughline-inbox-renew',
    text: `
      WITH free AS MATERIALIZED (
        SELECT job_id FROM throughline.inbox
        WHERE consumer = $1 AND job_id = ANY($3::text[]) AND claimed_by = $2::uuid AND state = 'claimed' FOR UPDATE SKIP LOCKED
      ), renewed AS (
        UPDATE throughline.inbox i SET claim_until = now() + $4 * interval '1 millisecond' FROM free
        WHERE i.consumer = $1 AND i.job_id = free.job_id RETURNING i.job_id
      )
      SELECT job_id FROM renewed
      UNION SELECT job_id FROM throughline.inbox
      WHERE consumer = $1 AND job_id = ANY($3::text[]) AND claimed_by = $2::uuid AND state = 'claimed'
        AND claim_until > now() + $4 * interval '0.5 millisecond'`,
    values: [consumer, worker, ids, claimMs],
  });
  return new Set(rows.map(({ job_id }) => job_id));
}

const SWEEP_ROWS = 1_000;
const SWEEP_ROUNDS = 100;

/** Forgets jobs that finished long ago, tombstones too, a few at a time. What was cancelled is kept: it never runs again. */
export async function sweepFinished(client: SqlClient, consumer: string, retainMs: number): Promise<void> {
  for (let round = 0; round < SWEEP_ROUNDS; round++) {
    const { rowCount } = await client.query(
      `DELETE FROM throughline.inbox WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM throughline.inbox
        WHERE finished_at < now() - $2 * interval '1 millisecond' AND consumer IN ($1, '*')
          AND state <> 'cancelled'
        LIMIT ${SWEEP_ROWS} FOR UPDATE SKIP LOCKED))`,
      [consumer, retainMs],
    );
    if ((rowCount ?? 0) < SWEEP_ROWS) return;
  }
}
