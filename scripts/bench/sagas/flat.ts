import type { Database } from '../../../shared/storage/index.ts';
import type { Load, SagaRun } from './assignment.ts';
import { inDatabase } from './databases.ts';
import { startContender } from './run.ts';
import { describe, type Stage } from './stage.ts';

/** What a saga costs where few, and where many, have finished before it: one run a round. */
export interface FlatRuns {
  readonly few: readonly SagaRun[];
  readonly many: readonly SagaRun[];
}

/** Each run begins with a fresh copy of the tables, so that the few stay few. */
export async function flatRounds(stage: Stage, rounds: number): Promise<FlatRuns> {
  const { few, times } = stage.size.flat;
  await prepare(stage);
  const runs = { few: [] as SagaRun[], many: [] as SagaRun[] };
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? (['few', 'many'] as const) : (['many', 'few'] as const);
    for (const kind of order) {
      const run = await runIn(stage, `flat_${kind}`);
      runs[kind].push(run);
      const finished = kind === 'few' ? few : few * times;
      stage.onProgress(`round ${round + 1}  after ${finished} finished sagas: ${describe(run)}`);
    }
  }
  return runs;
}

async function runIn(stage: Stage, template: string): Promise<SagaRun> {
  const { databases, size } = stage;
  const databaseUrl = await databases.copy(template, 'flat_run');
  try {
    const { warmUpMs, measureMs } = size.flat;
    return await runOn(stage, databaseUrl, { concurrency: 50, warmUpMs, measureMs });
  } finally {
    await databases.drop('flat_run');
  }
}

async function runOn({ databases, receiver }: Stage, databaseUrl: string, load: Load): Promise<SagaRun> {
  const contender = await startContender(
    { contender: 'throughline', databaseUrl, postgresPid: databases.pid, rivalsFolder: '' },
    receiver,
  );
  try {
    const run = await contender.run(load);
    await contender.end();
    return run;
  } finally {
    await contender.kill();
  }
}

/** Sagas that Throughline ran give the rows; the many are copies of them, each with an id and times of its own. */
async function prepare(stage: Stage): Promise<void> {
  const { databases, size } = stage;
  const { few, times } = size.flat;
  const url = await databases.createMigrated('flat_few');
  for (let finished = 0; finished < few; ) {
    await runOn(stage, url, { concurrency: 50, warmUpMs: 0, measureMs: 1_000 });
    finished = await inDatabase(url, countFinished);
  }
  await inDatabase(url, async (database) => {
    await database.query(TRIM, [few]);
    await database.query('VACUUM ANALYZE');
  });
  const many = await databases.copy('flat_few', 'flat_many');
  await inDatabase(many, async (database) => {
    await database.query(COPY_SAGAS, [times - 1]);
    await database.query(COPY_JOURNAL, [times - 1]);
    await database.query('VACUUM ANALYZE');
  });
}

async function countFinished(database: Database): Promise<number> {
  const { rows } = await database.query<{ count: number }>(
    'SELECT count(*)::int AS count FROM throughline.saga WHERE ended_at IS NOT NULL',
  );
  return rows[0]?.count ?? 0;
}

const TRIM = `
  WITH surplus AS (DELETE FROM throughline.saga WHERE id NOT IN (
    SELECT id FROM throughline.saga WHERE ended_at IS NOT NULL ORDER BY id LIMIT $1) RETURNING id)
  DELETE FROM throughline.saga_journal WHERE saga_id IN (SELECT id FROM surplus)`;

/** The n-th copy is n minutes older: in its id, whose first 48 bits are its time, and in its times. */
const COPIED_ID = (id: string) => `
  (SELECT left(hex, 8) || '-' || right(hex, 4) FROM lpad(to_hex(
    ('x0000' || left(${id}, 8) || substr(${id}, 10, 4))::bit(64)::bigint - n * 60000), 12, '0') AS hex) || substr(${id}, 14)`;

const COPY_SAGAS = `
  INSERT INTO throughline.saga (id, name, version, order_key, input, state, step, span, started_at, ended_at, reason)
  SELECT ${COPIED_ID('id')}, name, version, order_key || '-' || n, input, state, step, span,
    started_at - n * interval '1 minute', ended_at - n * interval '1 minute', reason
  FROM throughline.saga, generate_series($1::int, 1, -1) AS n ORDER BY n DESC, id`;

const COPY_JOURNAL = `
  INSERT INTO throughline.saga_journal (saga_id, seq, writer, events, at)
  SELECT ${COPIED_ID('saga_id')}, seq, writer, events, at - n * interval '1 minute'
  FROM throughline.saga_journal, generate_series($1::int, 1, -1) AS n ORDER BY n DESC, saga_id, seq`;
