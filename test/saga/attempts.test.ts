import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { type AttemptPolicy, defineSaga, readSaga, skip } from '../../publisher/saga/index.ts';
import { createGate } from '../support/gate.ts';
import { PATIENCE_MS } from '../support/patience.ts';
import { createSagaLab, type LabEngine, type SagaLab } from '../support/saga-lab.ts';

let lab: SagaLab;
beforeAll(async () => {
  lab = await createSagaLab();
});
afterEach(() => lab.reset());
afterAll(() => lab.close());

const input = z.object({});
const quick = { minBackoffMs: 1, maxBackoffMs: 2 };
const failing = (facts: object) => Object.assign(new Error('the partner is down'), facts);

/** A saga of a step that `run` makes fail; how it ends and what happened. */
async function tried(
  run: (attempt: number, signal: AbortSignal) => Promise<unknown>,
  policy: AttemptPolicy = {},
) {
  const log: string[] = [];
  const saga = defineSaga({ name: 'tried', version: 1, input })
    .step('before', { run: async () => 1, compensate: async () => void log.push('undo before') })
    .step('a', {
      run: async ({ attempt, signal, idempotencyKey, sagaId }) => {
        log.push(`a ${attempt} ${idempotencyKey === `${sagaId}/a`}`);
        return run(attempt, signal);
      },
      retry: { ...quick, maxAttempts: 3 },
      compensate: async ({ result, failure }) => void log.push(`undo a ${result} ${failure.type}`),
      ...policy,
    })
    .step('after', {
      run: async ({ results }) => void log.push(JSON.stringify(results.a)),
      compensate: skip('last'),
    })
    .build();
  const engine = await lab.start([saga]);
  const { sagaId } = await engine.begin(saga, {});
  const outcome = await engine.ended(sagaId, { timeoutMs: PATIENCE_MS });
  return { outcome, log, sagaId };
}

test('a step that fails is tried again with the same key, until it succeeds', async () => {
  const { outcome, log } = await tried(async (attempt) => {
    if (attempt < 3) throw failing({});
    return 'ok';
  });
  expect(outcome).toBe('confirmed');
  expect(log).toEqual(['a 1 true', 'a 2 true', 'a 3 true', '"ok"']);
});

test('a step that fails each time is compensated, because it may have happened', async () => {
  const { outcome, log, sagaId } = await tried(async () => {
    throw failing({ code: 'PARTNER_DOWN' });
  });
  expect(outcome).toBe('compensated');
  expect(log.slice(3)).toEqual(['undo a undefined PARTNER_DOWN', 'undo before']);
  expect((await readSaga(lab.db.database, sagaId))?.reason).toBe('a: PARTNER_DOWN: the partner is down');
});

test('a time-out holds for each attempt, and is told to the step', async () => {
  const reasons: unknown[] = [];
  const { outcome, log } = await tried(
    async (attempt, signal) => {
      if (attempt === 2) return 'ok';
      return new Promise((_, reject) =>
        signal.addEventListener('abort', () => {
          reasons.push((signal.reason as { code?: string }).code);
          reject(signal.reason);
        }),
      );
    },
    { timeoutMs: 20 },
  );
  expect(outcome).toBe('confirmed');
  expect(log).toEqual(['a 1 true', 'a 2 true', '"ok"']);
  expect(reasons).toEqual(['STEP_TIMEOUT']);
});

test.each([
  ['says so itself', { retryable: false }, {}],
  [
    'its definition calls final',
    { code: 'CARD_USED' },
    { isFinal: (error: unknown) => (error as { code?: string }).code === 'CARD_USED' },
  ],
])('an error that %s is not tried again', async (_, facts, policy) => {
  const { log } = await tried(async () => {
    throw failing(facts);
  }, policy);
  expect(log.filter((line) => line.startsWith('a '))).toEqual(['a 1 true']);
});

test('a step is not compensated when all its errors say that it had no effect', async () => {
  const { outcome, log } = await tried(async () => {
    throw failing({ effect: 'none' });
  });
  expect(outcome).toBe('compensated');
  expect(log.slice(3)).toEqual(['undo before']);
});

test('a step is compensated when one of its attempts may have had an effect', async () => {
  const { log } = await tried(async (attempt) => {
    throw failing(attempt === 1 ? {} : { effect: 'none' });
  });
  expect(log.slice(3)).toEqual(['undo a undefined Error', 'undo before']);
});

test('a step waits as long as its error asks', async () => {
  const times: number[] = [];
  await tried(async (attempt) => {
    times.push(performance.now());
    if (attempt === 1) throw failing({ retryAfterMs: 60 });
  });
  expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(59);
});

test('a step whose result cannot be written as JSON has happened, is not tried again, and is compensated', async () => {
  const { outcome, log } = await tried(
    async () => {
      const circle: Record<string, unknown> = {};
      circle['self'] = circle;
      return circle;
    },
    { isFinal: () => false },
  );
  expect(outcome).toBe('compensated');
  expect(log).toEqual(['a 1 true', 'undo a undefined RESULT_NOT_JSON', 'undo before']);
});

test.each([
  ['nothing', undefined, undefined],
  ['a big integer', 7n, '"7"'],
  ['a big integer in an object', { n: 7n }, '{"n":"7"}'],
  ['a date', new Date(0), '"1970-01-01T00:00:00.000Z"'],
  ['not a number', Number.NaN, 'null'],
  ['a function', () => 1, undefined],
])('a result is given to the next step as the journal holds it: %s', async (_, result, json) => {
  const { log } = await tried(async () => result);
  expect(log[1]).toBe(json);
});

test.each([
  ['a NUL', 'bad\0byte', 'badbyte'],
  ['half of a pair at its cut', `${'x'.repeat(499)}😀`, 'x'.repeat(499)],
])('an error whose message holds %s is stored', async (_, message, stored) => {
  const { outcome, sagaId } = await tried(async () => {
    throw Object.assign(new Error(message), { retryable: false });
  });
  expect(outcome).toBe('compensated');
  expect((await readSaga(lab.db.database, sagaId))?.reason).toBe(`a: Error: ${stored}`);
});

const stubborn = (undo: () => Promise<void>) =>
  defineSaga({ name: 'stubborn', version: 1, input })
    .step('a', { run: async () => 1, compensate: { run: undo, retry: { ...quick, maxAttempts: 3 } } })
    .step('b', {
      run: async () => {
        throw failing({ retryable: false, effect: 'none' });
      },
      compensate: skip('it never happens'),
    })
    .build();

async function untilStuck(engine: LabEngine, saga: ReturnType<typeof stubborn>): Promise<string> {
  const { sagaId } = await engine.begin(saga, {});
  await lab.reaches(sagaId, 'stuck');
  return sagaId;
}

test('a compensation that fails is tried again with backoff', async () => {
  let tries = 0;
  const saga = stubborn(async () => {
    tries += 1;
    if (tries < 3) throw failing({});
  });
  const engine = await lab.start([saga]);
  const { sagaId } = await engine.begin(saga, {});
  expect(await engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('compensated');
  expect((await lab.history(sagaId)).slice(2)).toEqual(['undo-failed a 1', 'undo-failed a 2', 'undone a 3']);
});

test('a compensation that fails each time leaves the saga stuck, with the reason, owned by nobody', async () => {
  const saga = stubborn(async () => {
    throw failing({ code: 'BANK_CLOSED' });
  });
  const engine = await lab.start([saga]);
  const sagaId = await untilStuck(engine, saga);
  expect((await lab.history(sagaId)).slice(2)).toEqual([
    'undo-failed a 1',
    'undo-failed a 2',
    'undo-failed a 3',
  ]);
  expect(await readSaga(lab.db.database, sagaId)).toMatchObject({
    step: 'a',
    reason: 'compensating a failed: BANK_CLOSED: the partner is down',
    endedAt: undefined,
  });
  const { rows } = await lab.db.database.query('SELECT owner FROM throughline.saga WHERE id = $1', [sagaId]);
  expect(rows).toEqual([{ owner: null }]);
  await expect(engine.ended(sagaId, { timeoutMs: 50 })).rejects.toMatchObject({ code: 'SAGA_TIMEOUT' });
});

test('a step with a transaction commits with its record, and not at all when it fails', async () => {
  await lab.db.database.query('CREATE TABLE kept (attempt integer)');
  const saga = defineSaga({ name: 'kept', version: 1, input })
    .transaction('a', {
      transaction: async (tx, { attempt }) => {
        await tx.query('INSERT INTO kept VALUES ($1)', [attempt]);
        if (attempt === 1) throw failing({});
        return attempt;
      },
      retry: quick,
      compensate: skip('only counted'),
    })
    .build();
  const engine = await lab.start([saga]);
  const { sagaId } = await engine.begin(saga, {});
  expect(await engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('confirmed');
  expect((await lab.db.database.query('SELECT attempt FROM kept')).rows).toEqual([{ attempt: 2 }]);
});

test('a transaction that is still being written when its time is up is rolled back, and tried again', async () => {
  const { database } = lab.db;
  await database.query('CREATE TABLE slowly (attempt integer)');
  const writers = async () => {
    const { rows } = await database.query(
      "SELECT pid FROM pg_locks WHERE relation = 'slowly'::regclass AND mode = 'RowExclusiveLock'",
    );
    return rows.length;
  };
  const late = createGate();
  const saga = defineSaga({ name: 'slowly', version: 1, input })
    .transaction('a', {
      transaction: async (tx, { attempt }) => {
        if (attempt === 2) {
          late.open();
          await expect.poll(writers, { interval: 10 }).toBe(0);
        }
        await tx.query('INSERT INTO slowly VALUES ($1)', [attempt]);
        return attempt;
      },
      timeoutMs: 1_000, // the second attempt has to keep it
      retry: quick,
      compensate: skip('only counted'),
    })
    .step('b', { run: async () => {}, compensate: skip('the last one') })
    .build();
  const engine = await lab.start([saga]);
  let writes = 0;
  const writing = engine.database.hold(
    (text) => text.includes('INSERT INTO throughline.saga_journal') && ++writes === 1,
  );
  void late.opened.then(writing.letGo);
  const web = await lab.start([saga], { isStarted: false });
  const { sagaId } = await web.begin(saga, {});
  await writing.reached;
  expect(await writers()).toBe(1);
  expect(await engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('confirmed');
  expect(await lab.history(sagaId)).toEqual(['failed a 1', 'completed a 2', 'completed b 1']);
  expect((await database.query('SELECT attempt FROM slowly')).rows).toEqual([{ attempt: 2 }]);
});
