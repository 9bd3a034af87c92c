import type { SqlClient } from '../shared/storage/sql-client.ts';
import type { Carrier } from '../shared/trace/carrier.ts';
import type { StoredLink } from '../shared/trace/links.ts';

/** `unordered` rows are sent by all relays side by side; `ordered` ones, which have an ordering key, by one at a time. */
export type Lane = 'unordered' | 'ordered';

/** A job that is to be sent. */
export interface UnsentRow {
  readonly id: string;
  readonly job_id: string;
  readonly job_type: string;
  readonly topic: string;
  readonly ordering_key: string | null;
  readonly data: string;
  /** In place of `data`: what is not text. */
  readonly bytes: Buffer | null;
  readonly attributes: Readonly<Record<string, string>>;
  readonly carrier: Carrier;
  readonly links: readonly StoredLink[] | null;
  /** It was due so long after it was enqueued that its send begins a trace. */
  readonly late: boolean;
  /** How often it was published before. */
  readonly sends: number;
}

const COLUMNS =
  'id, job_id, job_type, topic, ordering_key, data, bytes, attributes, carrier, links, late, sends';
const ORDERED_LOCK = `hashtextextended('throughline outbox ordered', 0)`;

export interface TakeOptions {
  readonly lane: Lane;
  readonly limit: number;
  /** Topics whose rows are left where they are. */
  readonly except?: readonly string[];
}

/** Locks and reads rows; an empty list when there are none, or another relay has the ordered ones in hand. */
export async function takeUnsent(
  tx: SqlClient,
  { lane, limit, except = [] }: TakeOptions,
): Promise<UnsentRow[]> {
  const { rows } = await tx.query<UnsentRow & Record<string, unknown>>({
    name: `throughline-outbox-take-${lane}`,
    text: lane === 'ordered' ? TAKE_ORDERED : TAKE_UNORDERED,
    values: [limit, except],
  });
  return rows;
}

const TAKE_UNORDERED = `
  SELECT ${COLUMNS} FROM throughline.outbox
  WHERE sent_at IS NULL AND ordering_key IS NULL AND (not_before IS NULL OR not_before <= now())
    AND topic <> ALL($2::text[])
  ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED`;

/** O2. A key of which an earlier row has to wait waits as a whole. Locked rows are being deleted: they are finished. */
const TAKE_ORDERED = `
  SELECT ${COLUMNS} FROM throughline.outbox o
  WHERE sent_at IS NULL AND ordering_key IS NOT NULL AND topic <> ALL($2::text[]) AND (SELECT pg_try_advisory_xact_lock(${ORDERED_LOCK}))
    AND NOT EXISTS (
      SELECT FROM throughline.outbox e
      WHERE e.sent_at IS NULL AND e.not_before > now() AND e.topic = o.topic AND e.ordering_key = o.ordering_key AND e.id <= o.id)
  ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED`;

/** O1. What nobody will finish is forgotten. */
export async function markSent(tx: SqlClient, ids: readonly string[]): Promise<void> {
  await tx.query({
    name: 'throughline-outbox-sent',
    text: `
      WITH forgotten AS (DELETE FROM throughline.outbox WHERE id = ANY($1::bigint[]) AND once)
      UPDATE throughline.outbox SET sent_at = now(), sends = sends + 1, not_before = NULL, last_error = NULL
      WHERE id = ANY($1::bigint[]) AND NOT once`,
    values: [ids],
  });
}

/** O4. The longer a row has waited, the longer until it is tried again: a quarter of that, from half a second to ten. */
export async function postpone(tx: SqlClient, ids: readonly string[], error: string): Promise<void> {
  await tx.query({
    name: 'throughline-outbox-postpone',
    text: `
      UPDATE throughline.outbox SET last_error = $2, not_before = now() + (0.75 + random() / 4) *
        least(interval '10 s', greatest(interval '0.5 s', (now() - enqueued_at) / 4))
      WHERE id = ANY($1::bigint[])`,
    values: [ids, error.slice(0, 1_000)],
  });
}

export const RESEND_ROWS = 1_000;
/** So often a job is sent without growing patience: a broker may swallow more than one of its messages. */
const EARLY_SENDS = 4;

/**
 * O3. After some sends in vain the wait doubles, and doubles once more.
 *
 * Shape: how many rows are to be sent again; when `RESEND_ROWS`, there may be more.
 */
export async function resendForgotten(client: SqlClient, afterMs: number): Promise<number> {
  const { rowCount } = await client.query({
    name: 'throughline-outbox-resend',
    text: `
      UPDATE throughline.outbox SET sent_at = NULL WHERE id = ANY(ARRAY(
        SELECT id FROM throughline.outbox WHERE sent_at < now() - $1 * interval '1 millisecond'
          AND sent_at < now() - $1 * (1 << least(greatest(sends - ${EARLY_SENDS}, 0), 2)) * interval '1 millisecond'
        ORDER BY sent_at LIMIT ${RESEND_ROWS} FOR UPDATE SKIP LOCKED))`,
    values: [afterMs],
  });
  return rowCount ?? 0;
}

/** For consumers without an inbox in this database: the job is finished, and is not to be sent again. */
export async function finishJob(client: SqlClient, jobId: string): Promise<void> {
  await client.query('DELETE FROM throughline.outbox WHERE job_id = $1', [jobId]);
}

export interface OutboxDepth {
  /** Due and not sent. */
  readonly unsent: number;
  /** How long the oldest unsent job has been due, in seconds; 0 when there is none. */
  readonly oldestUnsentSeconds: number;
  /** Sent, and not known to be finished. */
  readonly unfinished: number;
  /** Not due yet. */
  readonly delayed: number;
}

export async function outboxDepth(client: SqlClient): Promise<OutboxDepth> {
  const { rows } = await client.query<{
    unsent: string;
    age: number | null;
    unfinished: string;
    delayed: string;
  }>(`
    SELECT outbox.unsent + due.unsent AS unsent, unfinished, delayed,
      extract(epoch FROM now() - least(outbox.since, due.since))::float8 AS age
    FROM (SELECT count(*) FILTER (WHERE sent_at IS NULL) AS unsent, count(*) FILTER (WHERE sent_at IS NOT NULL) AS unfinished,
        min(enqueued_at) FILTER (WHERE sent_at IS NULL) AS since FROM throughline.outbox) outbox,
      (SELECT count(*) FILTER (WHERE run_at <= now()) AS unsent, count(*) FILTER (WHERE run_at > now()) AS delayed,
        min(run_at) FILTER (WHERE run_at <= now()) AS since FROM throughline.delayed_job) due`);
  const row = rows[0];
  return {
    unsent: Number(row?.unsent ?? 0),
    oldestUnsentSeconds: row?.age ?? 0,
    unfinished: Number(row?.unfinished ?? 0),
    delayed: Number(row?.delayed ?? 0),
  };
}
