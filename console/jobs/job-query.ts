import { storableText } from '../../shared/storable.ts';
import { INBOX_STATE, type JobState, LETTER_STATE, OUTBOX_STATE } from './job-state.ts';

/** Which jobs are meant; all conditions hold together. */
export interface JobFilter {
  readonly states?: readonly JobState[] | undefined;
  readonly jobId?: string | undefined;
  /** The job's name, of whatever version (`workspace.set-up`), or its type (`workspace.set-up.v1`). */
  readonly job?: string | undefined;
  readonly orderKey?: string | undefined;
  /** Enqueued, or first taken, at this time or after it. */
  readonly since?: Date | undefined;
}

/** A place among jobs that are ordered by time, job and consumer; `at` as PostgreSQL writes it, to the microsecond. */
export interface JobPlace {
  readonly at: string;
  readonly jobId: string;
  readonly consumer: string;
}

export interface JobQuery {
  readonly filter: JobFilter;
  readonly after: JobPlace | undefined;
  readonly limit: number;
  /** All consumers of the inbox: with them a job is found by its key. */
  readonly consumers: readonly string[];
}

/**
 * A row per job and consumer, the newest first. What the inbox says goes before what the outbox says, and that before a
 * letter: each branch leaves out what one before it has.
 */
export function jobQuery(query: JobQuery): { readonly text: string; readonly values: unknown[] } {
  const values: unknown[] = [query.limit, query.consumers];
  const where = conditions(query, values);
  const page = `WHERE ${where.join(' AND ')} ORDER BY at DESC, job_id DESC, consumer DESC LIMIT $1`;
  const text = `
    SELECT page.*, at::text AS place, extract(epoch FROM now() - at)::float8 * 1000 AS age_ms, l.id AS letter_id,
      coalesce(page.trace, l.traceparent) AS traceparent, coalesce(page.order_of, l.order_key) AS order_key
    FROM (
      (SELECT * FROM (${INBOX}) a ${page}) UNION ALL
      (SELECT * FROM (${OUTBOX}) b ${page}) UNION ALL
      (SELECT * FROM (${DELAYED}) d ${page}) UNION ALL
      (SELECT * FROM (${LETTERS}) c ${page})
      ORDER BY at DESC, job_id DESC, consumer DESC LIMIT $1
    ) page
    LEFT JOIN LATERAL (
      SELECT id, traceparent, order_key FROM throughline.dead_letter d WHERE d.job_id = page.job_id
      ORDER BY died_at DESC, id DESC LIMIT 1
    ) l ON true
    ORDER BY at DESC, page.job_id DESC, consumer DESC`;
  return { text, values };
}

const INBOX = `
  SELECT i.job_id, i.consumer, i.job_type, coalesce(o.order_key, i.order_key) AS order_of, ${INBOX_STATE} AS state,
    i.first_at AS at, i.attempt AS attempts, o.sends, coalesce(i.reason, o.last_error) AS reason, o.enqueued_at,
    o.not_before AS due_at, o.sent_at, i.claimed_at, i.finished_at, i.cancelled_by, i.fence_id::text,
    coalesce(o.carrier->>'traceparent', i.traceparent) AS trace
  FROM throughline.inbox i LEFT JOIN throughline.outbox o USING (job_id)`;

const OUTBOX = `
  SELECT o.job_id, '' AS consumer, o.job_type, o.order_key AS order_of, ${OUTBOX_STATE} AS state,
    o.enqueued_at AS at, 0 AS attempts, o.sends, o.last_error AS reason, o.enqueued_at,
    o.not_before AS due_at, o.sent_at, NULL::timestamptz AS claimed_at, NULL::timestamptz AS finished_at,
    NULL AS cancelled_by, NULL AS fence_id, o.carrier->>'traceparent' AS trace
  FROM throughline.outbox o
  WHERE NOT EXISTS (SELECT FROM throughline.inbox i WHERE i.consumer = ANY($2::text[]) AND i.job_id = o.job_id)`;

const DELAYED = `
  SELECT j.job_id, '' AS consumer, j.job_type, j.order_key AS order_of, 'scheduled' AS state, j.enqueued_at AS at,
    0 AS attempts, 0 AS sends, NULL AS reason, j.enqueued_at, j.run_at AS due_at, NULL::timestamptz AS sent_at,
    NULL::timestamptz AS claimed_at, NULL::timestamptz AS finished_at, NULL AS cancelled_by, NULL AS fence_id,
    j.carrier->>'traceparent' AS trace
  FROM throughline.delayed_job j
  WHERE NOT EXISTS (SELECT FROM throughline.inbox i WHERE i.consumer = ANY($2::text[]) AND i.job_id = j.job_id)`;

const LETTERS = `
  SELECT d.job_id, coalesce(d.consumer, '') AS consumer, coalesce(d.job_type, '') AS job_type, d.order_key AS order_of,
    ${LETTER_STATE} AS state, d.died_at AS at, coalesce(d.attempts, 0) AS attempts, NULL::integer AS sends, d.reason,
    NULL::timestamptz AS enqueued_at, NULL::timestamptz AS due_at, d.published_at AS sent_at,
    NULL::timestamptz AS claimed_at, CASE WHEN d.state <> 'redriven' THEN d.died_at END AS finished_at,
    NULL AS cancelled_by, NULL AS fence_id, d.traceparent AS trace
  FROM throughline.dead_letter d
  WHERE NOT EXISTS (SELECT FROM throughline.inbox i WHERE i.consumer IN (d.consumer, '*') AND i.job_id = d.job_id)
    AND NOT EXISTS (SELECT FROM throughline.outbox o WHERE o.job_id = d.job_id)
    AND NOT EXISTS (SELECT FROM throughline.delayed_job j WHERE j.job_id = d.job_id)
    AND NOT EXISTS (
      SELECT FROM throughline.dead_letter n
      WHERE n.job_id = d.job_id AND n.consumer IS NOT DISTINCT FROM d.consumer AND (n.died_at, n.id) > (d.died_at, d.id))`;

function conditions({ filter, after }: JobQuery, values: unknown[]): string[] {
  const { states, jobId, job, orderKey, since } = filter;
  const text = (value: string) => `$${values.push(storableText(value))}::text`;
  const found = [
    'true',
    states && `state = ANY($${values.push(states)}::text[])`,
    jobId !== undefined && `job_id = ${text(jobId)}`,
    job !== undefined && jobCondition(text(job)),
    orderKey !== undefined && `order_of = ${text(orderKey)}`,
    since && `at >= $${values.push(since.toISOString())}::timestamptz`,
    after &&
      `(at, job_id, consumer) < ($${values.push(after.at)}::timestamptz, ${text(after.jobId)}, ${text(after.consumer)})`,
  ];
  return found.filter((condition) => typeof condition === 'string');
}

function jobCondition(job: string): string {
  return `(job_type = ${job} OR regexp_replace(job_type, '\\.v[0-9]+$', '') = ${job})`;
}
