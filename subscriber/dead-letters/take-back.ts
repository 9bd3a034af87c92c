import type { SqlClient } from '../../shared/storage/sql-client.ts';
import { JobCancelledError, JobDoneError, JobHeldError } from './errors.ts';
import type { LetterView } from './find.ts';

interface InboxRow {
  readonly consumer: string;
  readonly state: string;
  readonly reason: string | null;
  readonly is_held: boolean;
}

/**
 * Takes a job back from death: its next delivery runs, as attempt 1. To be called in the transaction that sends it again.
 *
 * What was cancelled, by its consumer or for all, stays so; what is done needs no redrive. A claim that ran out is that of a
 * worker that died with the job in hand, which is how Pub/Sub comes to forward one.
 *
 * Shape:  whether an inbox will take the job out of the outbox when it is finished.
 * Errors: JobCancelledError, JobDoneError, JobHeldError.
 */
export async function takeBack(tx: SqlClient, letter: LetterView): Promise<boolean> {
  const { jobId, consumer = '' } = letter;
  const { rows } = await lockRows(tx, letter, consumer);
  const refused = rows.find((row) => row.consumer === '*' || row.state === 'cancelled');
  if (refused)
    throw new JobCancelledError(letter, `the job was cancelled (${refused.reason ?? 'no reason was given'})`);
  const [own] = rows;
  if (!own) return keepsInbox(tx, letter);
  if (own.state === 'done') throw new JobDoneError(letter, 'the job is done: another message of it was run');
  if (own.is_held)
    throw new JobHeldError(letter, 'a worker has the job in hand at this moment; try again in a minute');
  await tx.query(
    `UPDATE throughline.inbox SET state = 'waiting', attempt = 0, lost = 0, redrives = redrives + 1,
       claimed_by = NULL, claim_until = NULL, claimed_at = NULL, finished_at = NULL, reason = NULL
     WHERE consumer = $1 AND job_id = $2`,
    [consumer, jobId],
  );
  return true;
}

function lockRows(tx: SqlClient, { jobId }: LetterView, consumer: string) {
  return tx.query<InboxRow & Record<string, unknown>>(
    `SELECT consumer, state, reason, state = 'claimed' AND claim_until > now() AS is_held
     FROM throughline.inbox WHERE consumer IN ($1, '*') AND job_id = $2 ORDER BY consumer FOR UPDATE`,
    [consumer, jobId],
  );
}

/**
 * What the inbox would say of a job that it has forgotten, or never knew. A stranger's message, or a type that the worker
 * has no handler for, is claimed by nobody, and nobody would ever take it out of the outbox: it is sent once.
 */
async function keepsInbox(tx: SqlClient, letter: LetterView): Promise<boolean> {
  const { consumer, jobType, givenUpBy, errorType, attributes } = letter;
  const isKnown = givenUpBy === 'worker' && jobType !== undefined && errorType !== 'JOB_UNKNOWN';
  if (!isKnown || consumer === undefined || !attributes['ce-id']) return false;
  const { rowCount } = await tx.query('SELECT FROM throughline.inbox WHERE consumer = $1 LIMIT 1', [
    consumer,
  ]);
  return rowCount === 1;
}
