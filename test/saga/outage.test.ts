import { expect, test } from 'vitest';
import { z } from 'zod';
import { createSagaEngine, defineSaga, skip } from '../../publisher/saga/index.ts';
import { openDatabase } from '../../shared/storage/database.ts';
import { startEmbeddedPostgres } from '../../shared/storage/embedded.ts';
import { migrate } from '../../shared/storage/migrate.ts';
import { THROUGHLINE_MIGRATIONS } from '../../shared/storage/migrations/index.ts';
import { PATIENCE_MS } from '../support/patience.ts';

test('a database that stops and crashes in the middle of sagas loses none of them', async () => {
  const postgres = await startEmbeddedPostgres();
  const database = openDatabase({ connectionString: postgres.url });
  await migrate(database, THROUGHLINE_MIGRATIONS);
  let steps = 0;
  const passed = new Map<number, () => void>();
  const at = (count: number) => new Promise<void>((resolve) => passed.set(count, resolve));
  const counted = async () => {
    steps += 1;
    passed.get(steps)?.();
  };
  const refused = Object.assign(new Error('refused'), { retryable: false, effect: 'none' });
  const saga = defineSaga({ name: 'outage', version: 1, input: z.object({ isRefused: z.boolean() }) })
    .step('a', { run: counted, compensate: counted })
    .transaction('b', {
      transaction: async (tx, { sagaId }) => {
        await tx.query('INSERT INTO effects VALUES ($1)', [sagaId]);
        await counted();
      },
      compensate: {
        transaction: (tx, { sagaId }) =>
          tx.query('DELETE FROM effects WHERE id = $1', [sagaId]).then(counted),
      },
    })
    .step('c', {
      run: async ({ input: { isRefused } }) => {
        await counted();
        if (isRefused) throw refused;
      },
      compensate: skip('the last one'),
    })
    .build();
  await database.query('CREATE TABLE effects (id text PRIMARY KEY)');
  const engines = [1, 2].map(() =>
    createSagaEngine({ database, sagas: [saga], service: 'lab', leaseMs: 2_000, pollMs: 50 }),
  );
  for (const engine of engines) await engine.start();
  const [web = engines[0]] = engines;
  try {
    const reached = [at(60), at(250)];
    const begun = await Promise.all(
      Array.from({ length: 100 }, (_, index) =>
        web?.begin(saga, { isRefused: index % 5 === 0 }, { sagaId: `s-${index}` }),
      ),
    );
    await reached[0];
    await postgres.stop('immediate');
    await postgres.start();
    await reached[1];
    await postgres.stop('fast');
    await postgres.start();
    const outcomes = await Promise.all(
      begun.map(async (one) => {
        for (;;) {
          const ended = await web
            ?.ended(one?.sagaId ?? '', { timeoutMs: PATIENCE_MS })
            .catch((error: { code?: string }) => error.code);
          if (ended !== 'DATABASE_UNAVAILABLE') return ended;
        }
      }),
    );
    expect(outcomes.filter((outcome) => outcome === 'confirmed')).toHaveLength(80);
    expect(outcomes.filter((outcome) => outcome === 'compensated')).toHaveLength(20);
    const { rows } = await database.query('SELECT count(*)::integer AS effects FROM effects');
    expect(rows).toEqual([{ effects: 80 }]);
    const open = await database.query(
      'SELECT id FROM throughline.saga WHERE ended_at IS NULL OR owner IS NOT NULL',
    );
    expect(open.rows).toEqual([]);
  } finally {
    await Promise.all(engines.map((engine) => engine.stop()));
    await database.close();
    await postgres.close();
  }
});
