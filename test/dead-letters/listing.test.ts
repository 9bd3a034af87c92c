import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { listQuery } from '../../subscriber/dead-letters/find.ts';
import { type LetterFilter, listDeadLetters } from '../../subscriber/index.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

const LETTERS = 100_000;

describe('a hundred thousand letters', () => {
  let db: TestDatabase;
  beforeAll(async () => {
    db = await createTestDatabase();
    await db.database.query(
      `INSERT INTO throughline.dead_letter
         (id, state, job_id, job_type, order_key, saga_id, topic, given_up_by, reason, error_type, data, attributes, died_at)
       SELECT md5(n::text), (ARRAY['open', 'redriven', 'dropped'])[1 + (n % 100 > 89)::integer + (n % 100 > 95)::integer], 'job-' || n,
         CASE WHEN n % 1000 = 0 THEN 'rare.v1' ELSE 'note.keep.v' || n % 7 END, 'O-' || n / 10, 's-' || n / 10, 'jobs', 'worker',
         'gave up after 5 attempts: AWAY', 'AWAY', '{"text":"hello"}', '{}', timestamptz '2026-01-01' + n * interval '1 second'
       FROM generate_series(1, ${LETTERS}) n`,
    );
    await db.database.query('ANALYZE throughline.dead_letter');
  });
  afterAll(() => db.close());

  const plan = async (filter: LetterFilter): Promise<string> => {
    const { text, values } = listQuery(filter, 50);
    const { rows } = await db.database.query<{ 'QUERY PLAN': string }>(`EXPLAIN ANALYZE ${text}`, [
      ...values,
    ]);
    return rows.map((row) => row['QUERY PLAN']).join('\n');
  };

  test.each<[string, LetterFilter]>([
    ['all', {}],
    ['open', { states: ['open'] }],
    ['few states', { states: ['dropped'] }],
    ['a rare type', { jobType: 'rare.v1', states: ['open'] }],
    ['an order', { orderKey: 'O-77' }],
    ['a job', { jobId: 'job-4711' }],
    ['a saga', { sagaId: 's-42' }],
    ['a time', { since: new Date('2026-01-01T10:00:00Z'), until: new Date('2026-01-01T10:00:30Z') }],
    ['a reason', { states: ['open'], reason: 'away' }],
  ])('are listed by %s through an index', async (_, filter) => {
    const text = await plan(filter);
    expect(text).toMatch(/Index|Bitmap/);
    expect(text).not.toMatch(/Seq Scan/);
  });

  test('come newest first, with the right ones of several conditions', async () => {
    const filter: LetterFilter = {
      states: ['dropped'],
      jobType: 'note.keep.v1',
      reason: 'AWAY',
      errorType: 'AWAY',
    };
    const letters = await listDeadLetters(db.database, filter, { limit: 3 });
    expect(letters.map(({ state, jobType }) => [state, jobType])).toEqual(
      Array(3).fill(['dropped', 'note.keep.v1']),
    );
    const times = letters.map(({ diedAt }) => diedAt);
    expect(times).toEqual([...times].sort().reverse());
    expect(await listDeadLetters(db.database, { topic: 'other' })).toEqual([]);
    expect(await listDeadLetters(db.database, { reason: "'; DROP TABLE \0" })).toEqual([]);
  });
});
