/**
 * How far a job is, told from the outbox, the inbox and the dead letters.
 *
 * - `scheduled`: delayed, and not due yet; also in the outbox after a send that failed
 * - `waiting`: in the outbox, to be sent
 * - `sent`: nobody has taken it yet, or nobody tells its end here
 * - `running`: a worker has it in hand
 * - `retrying`: a run of it ended without success or with its worker, and the next delivery runs it again; or a fence pauses it
 * - `done`, `dead`, `cancelled`: it is over
 */
export type JobState = (typeof JOB_STATES)[number];

export const JOB_STATES = [
  'scheduled',
  'waiting',
  'sent',
  'running',
  'retrying',
  'done',
  'dead',
  'cancelled',
] as const;

/** Of a job that a consumer has taken: `i` is its row of the inbox, `o` that of the outbox, if there is one. */
export const INBOX_STATE = `
  CASE WHEN i.state IN ('done', 'dead', 'cancelled') THEN i.state
    WHEN i.state = 'claimed' AND i.claim_until > now() THEN 'running'
    WHEN o.job_id IS NULL OR o.sent_at IS NOT NULL THEN 'retrying'
    WHEN o.not_before > now() THEN 'scheduled'
    ELSE 'waiting' END`;

/** Of a job that nobody has taken. */
export const OUTBOX_STATE = `
  CASE WHEN o.sent_at IS NOT NULL THEN 'sent' WHEN o.not_before > now() THEN 'scheduled' ELSE 'waiting' END`;

/** Of a job of which only a dead letter is left: of one that was redriven nobody has told the end. */
export const LETTER_STATE = `CASE WHEN d.state = 'redriven' THEN 'sent' ELSE 'dead' END`;
