import type { SqlClient } from '../../shared/storage/sql-client.ts';
import type { Letter } from './letter.ts';

/** Where a redriven job goes, and in whose inbox it is dead. */
export interface KeptFrom {
  readonly topic: string;
  /** Default: the subscription at which the message died. */
  readonly consumer: string | undefined;
}

/** Stores letters, each once. Shape: per letter whether it is new. */
export async function storeLetters(
  client: SqlClient,
  { topic, consumer }: KeptFrom,
  letters: readonly Letter[],
): Promise<boolean[]> {
  const column = <T>(read: (letter: Letter) => T) => letters.map(read);
  const { rows } = await client.query<{ id: string }>({
    name: 'throughline-dead-letter-store',
    text: `
      INSERT INTO throughline.dead_letter (id, job_id, job_type, order_key, saga_id, topic, subscription, consumer, given_up_by,
        reason, error_type, attempts, message_id, ordering_key, data, attributes, traceparent, published_at, died_at)
      SELECT DISTINCT ON (id) id, job_id, job_type, order_key, saga_id, $1, subscription, coalesce($2, subscription), given_up_by,
        reason, error_type, attempts, message_id, ordering_key, data, attributes::json, traceparent,
        to_timestamp(published_ms / 1000), to_timestamp(died_ms / 1000)
      FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[],
        $12::integer[], $13::text[], $14::text[], $15::bytea[], $16::text[], $17::text[], $18::float8[], $19::float8[])
        AS x (id, job_id, job_type, order_key, saga_id, subscription, given_up_by, reason, error_type, attempts, message_id,
          ordering_key, data, attributes, traceparent, published_ms, died_ms)
      ORDER BY id
      ON CONFLICT (id) DO NOTHING RETURNING id`,
    values: [
      topic,
      consumer ?? null,
      column(({ letterId }) => letterId),
      column(({ jobId }) => jobId),
      column(({ jobType }) => jobType ?? null),
      column(({ orderKey }) => orderKey ?? null),
      column(({ sagaId }) => sagaId ?? null),
      column(({ subscription }) => subscription ?? null),
      column(({ givenUpBy }) => givenUpBy),
      column(({ reason }) => reason),
      column(({ errorType }) => errorType ?? null),
      column(({ attempts }) => attempts ?? null),
      column(({ messageId }) => messageId ?? null),
      column(({ orderingKey }) => orderingKey ?? null),
      column(({ data }) => Buffer.from(data.buffer, data.byteOffset, data.byteLength)),
      column(({ attributes }) => JSON.stringify(attributes)),
      column(({ traceparent }) => traceparent ?? null),
      column(({ publishedAtMs }) => publishedAtMs ?? null),
      column(({ diedAtMs }) => diedAtMs),
    ],
  });
  const isNew = new Set(rows.map(({ id }) => id));
  return letters.map(({ letterId }) => isNew.delete(letterId));
}

const SWEEP_ROWS = 500;
const SWEEP_ROUNDS = 200;

/** Forgets letters that died long ago, a few at a time. Shape: how many, and how many of those nobody had dealt with. */
export async function sweepLetters(
  client: SqlClient,
  retainMs: number,
): Promise<{ readonly expired: number; readonly open: number }> {
  const sum = { expired: 0, open: 0 };
  for (let round = 0; round < SWEEP_ROUNDS; round++) {
    const { rows } = await client.query<{ state: string }>({
      name: 'throughline-dead-letter-sweep',
      text: `
        DELETE FROM throughline.dead_letter WHERE ctid = ANY(ARRAY(
          SELECT ctid FROM throughline.dead_letter WHERE died_at < now() - $1 * interval '1 millisecond'
          ORDER BY died_at LIMIT ${SWEEP_ROWS} FOR UPDATE SKIP LOCKED))
        RETURNING state`,
      values: [retainMs],
    });
    sum.expired += rows.length;
    sum.open += rows.filter(({ state }) => state === 'open').length;
    if (rows.length < SWEEP_ROWS) break;
  }
  return sum;
}
