import { ThroughlineError } from '../../shared/errors.ts';
import { storableText } from '../../shared/storable.ts';
import type { SqlClient } from '../../shared/storage/sql-client.ts';
import type { Carrier } from '../../shared/trace/carrier.ts';
import { type LetterSummary, listDeadLetters, readDeadLetter } from '../../subscriber/index.ts';
import { type JobSummary, listJobs } from './find-jobs.ts';

/** All that is known of a job. */
export interface JobDetail {
  readonly jobId: string;
  /** As each consumer has it; one without a consumer when nobody has taken it yet. */
  readonly consumers: readonly JobSummary[];
  /** What is sent, or was: from the outbox, or else from the latest dead letter. Undefined: it is finished, and forgotten. */
  readonly message: JobMessage | undefined;
  /** The newest death first. */
  readonly deadLetters: readonly LetterSummary[];
}

export interface JobMessage {
  readonly from: 'outbox' | 'dead-letter';
  readonly topic: string;
  readonly orderingKey: string | undefined;
  readonly attributes: Readonly<Record<string, string>>;
  /** Trace context of whatever enqueued it, or of the dead delivery. */
  readonly carrier: Carrier;
  readonly data: Buffer;
}

export class UnknownJobIdError extends ThroughlineError {
  override readonly name = 'UnknownJobIdError';
  readonly code = 'JOB_ID_UNKNOWN';

  constructor(jobId: string) {
    super(`there is no job ${jobId}, or it was finished so long ago that it is forgotten`);
  }
}

const MAX_ROWS = 100;

/** Errors: UnknownJobIdError, DatabaseUnavailableError. */
export async function showJob(client: SqlClient, jobId: string): Promise<JobDetail> {
  const { jobs } = await listJobs(client, { filter: { jobId }, limit: MAX_ROWS });
  const deadLetters = await listDeadLetters(client, { jobId }, { limit: MAX_ROWS });
  if (jobs.length === 0 && deadLetters.length === 0) throw new UnknownJobIdError(jobId);
  const message = (await readOutbox(client, jobId)) ?? (await readLetter(client, deadLetters[0]));
  return { jobId, consumers: jobs, message, deadLetters };
}

interface OutboxRow {
  readonly topic: string;
  readonly ordering_key: string | null;
  readonly data: string;
  readonly bytes: Buffer | null;
  readonly attributes: Readonly<Record<string, string>>;
  readonly carrier: Carrier;
}

async function readOutbox(client: SqlClient, jobId: string): Promise<JobMessage | undefined> {
  const { rows } = await client.query<OutboxRow & Record<string, unknown>>(
    `SELECT topic, ordering_key, data, bytes, attributes, carrier FROM throughline.outbox WHERE job_id = $1
     UNION ALL SELECT topic, ordering_key, data, NULL, attributes, carrier FROM throughline.delayed_job WHERE job_id = $1`,
    [storableText(jobId)],
  );
  const [row] = rows;
  return (
    row && {
      from: 'outbox',
      topic: row.topic,
      orderingKey: row.ordering_key ?? undefined,
      attributes: row.attributes,
      carrier: row.carrier,
      data: row.bytes ?? Buffer.from(row.data),
    }
  );
}

async function readLetter(
  client: SqlClient,
  latest: LetterSummary | undefined,
): Promise<JobMessage | undefined> {
  const letter = latest && (await readDeadLetter(client, latest.letterId));
  if (!letter) return undefined;
  const { topic, orderingKey, attributes, traceparent, data } = letter;
  const carrier: Carrier = traceparent === undefined ? {} : { traceparent };
  return { from: 'dead-letter', topic, orderingKey, attributes, carrier, data };
}
