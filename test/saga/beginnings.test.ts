import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { defineSaga, listSagas, readSaga, skip, suspend } from '../../publisher/saga/index.ts';
import { PATIENCE_MS } from '../support/patience.ts';
import { createSagaLab, type SagaLab, SHORT_LEASE } from '../support/saga-lab.ts';

let lab: SagaLab;
beforeAll(async () => {
  lab = await createSagaLab();
});
afterEach(() => lab.reset());
afterAll(() => lab.close());

const input = z.object({ key: z.string().default('none') });
const log: string[] = [];

/** Version `version` waits for a word, then says which version it is. */
const versioned = (version: number, lastStep = 'end') =>
  defineSaga({ name: 'versioned', version, input })
    .step('wait', {
      run: async () => suspend('go', { timeoutMs: 60_000, data: null }),
      signal: { name: 'go', payload: z.null(), resume: async () => version },
      compensate: skip('it only waits'),
    })
    .step(lastStep, {
      run: async ({ sagaId }) => void log.push(`${sagaId} ended under ${version}`),
      compensate: skip('the last one'),
    })
    .build();
const v1 = versioned(1);
const v2 = versioned(2);

const parkedReason = async (sagaId: string) => (await readSaga(lab.db.database, sagaId))?.parked;
/** Lets time pass for the saga: it has been due for a minute. */
const age = (sagaId: string) =>
  lab.db.database.query("UPDATE throughline.saga SET wake_at = now() - interval '1 minute' WHERE id = $1", [
    sagaId,
  ]);

test('a saga that was begun in a transaction that is rolled back does not exist', async () => {
  const engine = await lab.start([v1]);
  let sagaId = '';
  const failure = new Error('the order is refused');
  const begun = engine.database.transaction(async (tx) => {
    sagaId = (await engine.begin(v1, {}, { tx })).sagaId;
    throw failure;
  });
  await expect(begun).rejects.toBe(failure);
  expect(await readSaga(lab.db.database, sagaId)).toBeUndefined();
  await expect(engine.signal(sagaId, 'go', null)).rejects.toMatchObject({ code: 'SAGA_UNKNOWN' });
  await expect(engine.ended(sagaId, { timeoutMs: 100 })).rejects.toMatchObject({ code: 'SAGA_UNKNOWN' });
});

test('a saga that was begun in a transaction runs once that is committed', async () => {
  const engine = await lab.start([v1]);
  const { sagaId } = await engine.database.transaction((tx) => engine.begin(v1, {}, { tx }));
  await lab.reaches(sagaId, 'waiting');
});

describe('a saga whose beginning is committed, and its process does not hear of it,', () => {
  const isCommit = (text: string) => text === 'COMMIT';
  const counted = () => {
    const runs: string[] = [];
    const saga = defineSaga({ name: 'counted', version: 1, input })
      .step('a', {
        run: async ({ sagaId }) => void runs.push(sagaId),
        compensate: skip('it only counts'),
      })
      .build();
    return { runs, saga };
  };

  test('is run all the same, while that process lives', async () => {
    const { runs, saga } = counted();
    const engine = await lab.start([saga], SHORT_LEASE);
    let sagaId = '';
    void engine.database.loseAnswer(isCommit);
    const begun = engine.database.transaction(async (tx) => {
      sagaId = (await engine.begin(saga, {}, { tx })).sagaId;
    });
    await expect(begun).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
    expect(await engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('confirmed');
    expect(runs).toEqual([sagaId]);
  });

  test('is not run again when it hears of it at last', async () => {
    const { runs, saga } = counted();
    const engine = await lab.start([saga], SHORT_LEASE);
    const commit = engine.database.hold(isCommit, 'answer');
    let sagaId = '';
    const begun = engine.database.transaction(async (tx) => {
      sagaId = (await engine.begin(saga, {}, { tx })).sagaId;
    });
    await commit.reached;
    expect(await engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('confirmed');
    commit.letGo();
    await begun;
    await lab.reset();
    expect(runs).toEqual([sagaId]);
  });
});

test('a saga that is begun twice is one saga, also when both come at once', async () => {
  const [engine, other] = [await lab.start([v1]), await lab.start([v1])];
  const begun = await Promise.all(
    [engine, engine, other, other].map((one) =>
      one.begin(v1, {}, { sagaId: 'order-1', orderKey: 'order-1' }),
    ),
  );
  expect(begun.filter(({ isNew }) => isNew)).toHaveLength(1);
  await lab.reaches('order-1', 'waiting');
  expect(await engine.begin(v1, { key: 'another' }, { sagaId: 'order-1' })).toEqual({
    sagaId: 'order-1',
    isNew: false,
  });
  await engine.signal('order-1', 'go', null);
  expect(await other.ended('order-1', { timeoutMs: PATIENCE_MS })).toBe('confirmed');
  expect(log.filter((line) => line.startsWith('order-1'))).toEqual(['order-1 ended under 1']);
  expect(await listSagas(lab.db.database, { orderKey: 'order-1' })).toHaveLength(1);
});

test('a saga whose input does not fit is refused, with the fields that do not', async () => {
  const engine = await lab.start([v1]);
  await expect(engine.begin(v1, { key: 7 as never })).rejects.toMatchObject({
    code: 'SAGA_INPUT_INVALID',
    issues: [expect.stringContaining('key: ')],
  });
  await expect(engine.begin(v2, {})).rejects.toMatchObject({ code: 'SAGA_DEFINITION_UNKNOWN' });
});

test('a saga finishes under the version that it was begun with, while new ones run under the newest', async () => {
  const before = await lab.start([v1]);
  const { sagaId: old } = await before.begin(v1, {});
  await lab.reaches(old, 'waiting');
  await before.stop();
  const after = await lab.start([v1, v2]);
  const { sagaId: young } = await after.begin(v2, {});
  await lab.reaches(young, 'waiting');
  for (const sagaId of [old, young]) await after.signal(sagaId, 'go', null);
  expect(await after.ended(old, { timeoutMs: PATIENCE_MS })).toBe('confirmed');
  expect(await after.ended(young, { timeoutMs: PATIENCE_MS })).toBe('confirmed');
  expect(log).toContain(`${old} ended under 1`);
  expect(log).toContain(`${young} ended under 2`);
});

test('a saga of a version that nobody knows is parked and visible, and goes on when a process knows it', async () => {
  const before = await lab.start([v2], { isStarted: false });
  const { sagaId } = await before.begin(v2, {});
  await lab.start([v1]);
  await age(sagaId);
  await expect.poll(() => parkedReason(sagaId)).toContain('in version 2');
  expect((await listSagas(lab.db.database, { parked: true })).map((saga) => saga.sagaId)).toEqual([sagaId]);
  const knowing = await lab.start([v2]);
  await lab.reaches(sagaId, 'waiting');
  expect(await parkedReason(sagaId)).toBeUndefined();
  await knowing.signal(sagaId, 'go', null);
  expect(await knowing.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('confirmed');
});

test('a saga whose journal does not fit the definition is parked, with the reason', async () => {
  const before = await lab.start([v1]);
  const { sagaId } = await before.begin(v1, {});
  await lab.reaches(sagaId, 'waiting');
  await before.stop();
  const renamed = defineSaga({ name: 'versioned', version: 1, input })
    .step('ask', { run: async () => 1, compensate: skip('it only waits') })
    .build();
  await lab.start([renamed]);
  await age(sagaId);
  await expect.poll(() => parkedReason(sagaId)).toContain('SAGA_JOURNAL');
  expect(await lab.state(sagaId)).toBe('waiting');
  await lab.reset();
  const mended = await lab.start([v1]);
  await mended.signal(sagaId, 'go', null);
  expect(await mended.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('confirmed');
});
