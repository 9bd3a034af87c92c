import { CursorError, decodeCursor, encodeCursor } from '../../shared/storage/cursor.ts';
import type { SqlClient } from '../../shared/storage/sql-client.ts';
import { traceIdOf } from '../trace-id.ts';
import { type JobFilter, type JobPlace, jobQuery } from './job-query.ts';
import type { JobState } from './job-state.ts';

/** A job as one consumer has it, or as nobody has it yet. Times are RFC 3339. No payload: that may be personal data. */
export interface JobSummary {
  readonly jobId: string;
  /** Undefined: nobody has taken it yet. `*`: what was recorded for all. */
  readonly consumer: string | undefined;
  /** `workspace.set-up.v1`; undefined when the message bore none. */
  readonly jobType: string | undefined;
  readonly orderKey: string | undefined;
  readonly state: JobState;
  /** Runs, the one under way included. */
  readonly attempts: number;
  /** How often it was published; undefined when the outbox does not know it any more. */
  readonly sends: number | undefined;
  /** Why it is over, or why it could not be sent. */
  readonly reason: string | undefined;
  /** Since it was enqueued or first taken, in ms. */
  readonly ageMs: number;
  readonly enqueuedAt: string | undefined;
  /** Not sent before this time. */
  readonly dueAt: string | undefined;
  readonly sentAt: string | undefined;
  /** When the latest run began. */
  readonly claimedAt: string | undefined;
  readonly finishedAt: string | undefined;
  /** Who cancelled it, and by which fence if it was one. */
  readonly cancelledBy: string | undefined;
  readonly fenceId: string | undefined;
  /** Its latest dead letter. */
  readonly letterId: string | undefined;
  readonly traceId: string | undefined;
}

export interface JobPage {
  readonly jobs: readonly JobSummary[];
  /** Where the next page begins; undefined: this is the last one. */
  readonly next: string | undefined;
}

export interface ListJobsOptions {
  readonly filter?: JobFilter;
  /** `next` of the page before. */
  readonly after?: string | undefined;
  /** Default 100. */
  readonly limit?: number;
}

/** Jobs, the newest first; one that several consumers take is a row for each. Errors: CursorError, DatabaseUnavailableError. */
export async function listJobs(
  client: SqlClient,
  { filter = {}, after, limit = 100 }: ListJobsOptions = {},
): Promise<JobPage> {
  const place = after === undefined ? undefined : placeOf(after);
  const consumers = await readConsumers(client);
  const { text, values } = jobQuery({ filter, after: place, limit: limit + 1, consumers });
  const { rows } = await client.query<Row>(text, values);
  const last = rows.length > limit ? rows[limit - 1] : undefined;
  return {
    jobs: rows.slice(0, limit).map(summaryOf),
    next: last && encodeCursor([last.place, last.job_id, last.consumer]),
  };
}

/** Errors: CursorError. */
function placeOf(cursor: string): JobPlace {
  const [at = '', jobId = '', consumer = ''] = decodeCursor(cursor, 3);
  if (Number.isNaN(Date.parse(at.replace(' ', 'T').replace(/([+-]\d\d)$/, '$1:00')))) throw new CursorError();
  return { at, jobId, consumer };
}

/** From key to key, because there are few consumers and many jobs. */
async function readConsumers(client: SqlClient): Promise<string[]> {
  const { rows } = await client.query<{ consumer: string }>(`
    WITH RECURSIVE consumers AS (
      (SELECT consumer FROM throughline.inbox ORDER BY consumer LIMIT 1)
      UNION ALL
      SELECT (SELECT consumer FROM throughline.inbox i WHERE i.consumer > c.consumer ORDER BY consumer LIMIT 1)
      FROM consumers c WHERE c.consumer IS NOT NULL
    ) SELECT consumer FROM consumers WHERE consumer IS NOT NULL`);
  return rows.map(({ consumer }) => consumer);
}

interface JobRow {
  readonly job_id: string;
  readonly consumer: string;
  readonly job_type: string;
  readonly order_key: string | null;
  readonly state: JobState;
  readonly attempts: number;
  readonly sends: number | null;
  readonly reason: string | null;
  readonly place: string;
  readonly age_ms: number;
  readonly enqueued_at: Date | null;
  readonly due_at: Date | null;
  readonly sent_at: Date | null;
  readonly claimed_at: Date | null;
  readonly finished_at: Date | null;
  readonly cancelled_by: string | null;
  readonly fence_id: string | null;
  readonly letter_id: string | null;
  readonly traceparent: string | null;
}

type Row = JobRow & Record<string, unknown>;

function summaryOf(row: JobRow): JobSummary {
  return {
    jobId: row.job_id,
    consumer: row.consumer || undefined,
    jobType: row.job_type || undefined,
    orderKey: row.order_key ?? undefined,
    state: row.state,
    attempts: row.attempts,
    sends: row.sends ?? undefined,
    reason: row.reason ?? undefined,
    ageMs: Math.max(0, Math.round(row.age_ms)),
    enqueuedAt: row.enqueued_at?.toISOString(),
    dueAt: row.due_at?.toISOString(),
    sentAt: row.sent_at?.toISOString(),
    claimedAt: row.claimed_at?.toISOString(),
    finishedAt: row.finished_at?.toISOString(),
    cancelledBy: row.cancelled_by ?? undefined,
    fenceId: row.fence_id ?? undefined,
    letterId: row.letter_id ?? undefined,
    traceId: traceIdOf(row.traceparent),
  };
}
