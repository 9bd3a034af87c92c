import type { SqlClient } from '../shared/storage/sql-client.ts';

export const MOVE_ROWS = 1_000;
const MOVE_LOCK = `hashtextextended('throughline delayed jobs', 0)`;
const COLUMNS = 'job_id, job_type, topic, ordering_key, order_key, data, attributes, carrier, links';

/**
 * Moves jobs that are due to the outbox, in the order in which they became due; from there they are like any other.
 *
 * By one process at a time: two would take turns by chance, and jobs with one ordering key might change places.
 *
 * Shape: how many; when `MOVE_ROWS`, there may be more.
 */
export async function moveDue(client: SqlClient, continueWithinMs: number): Promise<number> {
  const { rows } = await client.query<{ moved: number }>({
    name: 'throughline-delayed-move',
    text: `
      WITH due AS (
        DELETE FROM throughline.delayed_job WHERE job_id = ANY(ARRAY(
          SELECT job_id FROM throughline.delayed_job
          WHERE run_at <= now() AND (SELECT pg_try_advisory_xact_lock(${MOVE_LOCK}))
          ORDER BY run_at, enqueued_at, job_id LIMIT ${MOVE_ROWS}))
        RETURNING *
      ), moved AS (
        INSERT INTO throughline.outbox (${COLUMNS}, late)
        SELECT ${COLUMNS}, run_at - enqueued_at > $1 * interval '1 millisecond'
        FROM due ORDER BY run_at, enqueued_at, job_id
        ON CONFLICT (job_id) DO NOTHING
      )
      SELECT count(*)::integer AS moved FROM due`,
    values: [continueWithinMs],
  });
  return rows[0]?.moved ?? 0;
}

/** How long until the next job is due, in ms, 0 or more; undefined: none waits. */
export async function nextDueMs(client: SqlClient): Promise<number | undefined> {
  const { rows } = await client.query<{ ms: number | null }>({
    name: 'throughline-delayed-next',
    text: 'SELECT greatest(0, extract(epoch FROM min(run_at) - now()) * 1000)::float8 AS ms FROM throughline.delayed_job',
  });
  return rows[0]?.ms ?? undefined;
}
