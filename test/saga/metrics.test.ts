import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { defineSaga, observeSagas, operateSaga, skip, suspend } from '../../publisher/saga/index.ts';
import { startTelemetry, type Telemetry } from '../../shared/index.ts';
import { createCounterReader } from '../support/counter-reader.ts';
import { createSagaLab, type SagaLab } from '../support/saga-lab.ts';

let lab: SagaLab;
let telemetry: Telemetry;
const { reader, sum, labelSets } = createCounterReader();
beforeAll(async () => {
  telemetry = startTelemetry({ serviceName: 'test', metricReaders: [reader] });
  lab = await createSagaLab();
});
afterEach(() => lab.reset());
afterAll(async () => {
  await lab.close();
  await telemetry.shutdown();
});

const once = { retry: { maxAttempts: 1 } };

/** Fails at `pay`; `hold` cannot be undone until it is told so. */
function unlucky(name: string) {
  const state = { isUndoable: false };
  const saga = defineSaga({ name, version: 1, input: z.object({}) })
    .step('hold', {
      run: async () => ({}),
      compensate: {
        run: async () => {
          if (!state.isUndoable) throw new Error('cannot be undone');
        },
        ...once,
      },
    })
    .step('pay', {
      run: async () => {
        throw Object.assign(new Error('no money'), { retryable: false, effect: 'none' });
      },
      compensate: skip('nothing was paid'),
    })
    .build();
  return { saga, state };
}

test('every series is there at 0 before the first saga, and the first failure raises one by one', async () => {
  const { saga, state } = unlucky('first-failure');
  state.isUndoable = true;
  const engine = await lab.start([saga]);
  const of = { 'saga.name': 'first-failure' };
  const ends = (await labelSets('throughline.sagas.ended')).filter(
    (set) => set['saga.name'] === 'first-failure',
  );
  expect(ends).toHaveLength(1 + 2 * 3);
  expect(await sum('throughline.sagas.ended', of)).toBe(0);
  expect(await labelSets('throughline.sagas.failed')).toContainEqual({ ...of, 'saga.failed_step': 'pay' });

  const { sagaId } = await engine.begin(saga, {});
  expect(await engine.ended(sagaId, { timeoutMs: 10_000 })).toBe('compensated');
  expect(await sum('throughline.sagas.started', of)).toBe(1);
  expect(await sum('throughline.sagas.failed', { ...of, 'saga.failed_step': 'pay' })).toBe(1);
  const compensated = { ...of, 'saga.outcome': 'compensated', 'saga.failed_step': 'pay' };
  expect(await sum('throughline.sagas.ended', compensated)).toBe(1);
  expect(await sum('throughline.sagas.ended', of)).toBe(1);
  const histogram = (name: string) =>
    labelSets(name).then((sets) => sets.filter((set) => set['saga.name'] === 'first-failure'));
  expect(await histogram('throughline.saga.step.duration')).toEqual([
    { ...of, 'saga.step': 'hold', outcome: 'completed' },
    { ...of, 'saga.step': 'pay', outcome: 'failed' },
  ]);
  expect(await histogram('throughline.saga.compensation.duration')).toEqual([
    { ...of, 'saga.step': 'hold', outcome: 'undone' },
  ]);
  expect(await histogram('throughline.saga.duration')).toEqual([{ ...of, 'saga.outcome': 'compensated' }]);
});

test('a stuck saga is counted once and stays on the gauges, whoever restarts, until an operator has dealt with it', async () => {
  const { saga, state } = unlucky('gets-stuck');
  const of = { 'saga.name': 'gets-stuck' };
  const observed = observeSagas(lab.db.database, [saga]);
  const gauges = async () => ({
    stuck: await sum('throughline.sagas.stuck', { ...of, 'saga.step': 'hold' }),
    unresolved: await sum('throughline.compensations.unresolved', of),
    open: await sum('throughline.sagas.open', { ...of, state: 'stuck' }),
  });
  expect(await gauges()).toEqual({ stuck: 0, unresolved: 0, open: 0 });
  expect(await labelSets('throughline.sagas.stuck')).toContainEqual({ ...of, 'saga.step': 'pay' });
  const engine = await lab.start([saga]);
  const { sagaId } = await engine.begin(saga, {});
  await lab.reaches(sagaId, 'stuck');
  expect(await gauges()).toEqual({ stuck: 1, unresolved: 1, open: 1 });
  expect(await sum('throughline.compensations.oldest_unresolved_age', of)).toBeGreaterThan(0);
  await lab.reset();
  observed.stop();

  // Another process that knows nothing but the database, and not even the definition.
  const anew = observeSagas(lab.db.database, []);
  onTestFinished(() => anew.stop());
  expect(await gauges()).toEqual({ stuck: 1, unresolved: 1, open: 1 });
  const second = await lab.start([saga]);
  state.isUndoable = true;
  await operateSaga(lab.db.database, { sagaId, action: 'retry', actor: 'ada' });
  expect(await second.ended(sagaId, { timeoutMs: 10_000 })).toBe('compensated');
  expect(await gauges()).toEqual({ stuck: 0, unresolved: 0, open: 0 });
  const ended = (outcome: string) => sum('throughline.sagas.ended', { ...of, 'saga.outcome': outcome });
  expect([await ended('stuck'), await ended('compensated')]).toEqual([1, 1]);
  expect(await sum('throughline.sagas.failed', of)).toBe(1);
});

test('a saga that ends with a transaction is counted, and the time at the bank is a wait and no latency', async () => {
  const saga = defineSaga({ name: 'patient', version: 1, input: z.object({}) })
    .step('ask', {
      run: async () => suspend('answer', { timeoutMs: 60_000, data: null }),
      signal: { name: 'answer', payload: z.object({}), resume: async () => ({}) },
      compensate: skip('only a question'),
    })
    .transaction('note', { transaction: async () => ({}), compensate: skip('the last one') })
    .build();
  const of = { 'saga.name': 'patient' };
  const engine = await lab.start([saga]);
  const { sagaId } = await engine.begin(saga, {});
  await lab.reaches(sagaId, 'waiting');
  // It has waited for an hour, as far as the journal knows.
  await lab.db.database.query(
    `UPDATE throughline.saga_journal SET events = replace(replace(events::text, (events->0->>'atMs'), ((events->0->>'atMs')::bigint - 3600000)::text),
       (events->0->'span'->>'startMs'), ((events->0->'span'->>'startMs')::bigint - 3600000)::text)::json WHERE saga_id = $1`,
    [sagaId],
  );
  await lab.db.database.query(
    `UPDATE throughline.saga SET span = jsonb_set(span::jsonb, '{startMs}', to_jsonb((span->>'startMs')::numeric - 3600000))::json WHERE id = $1`,
    [sagaId],
  );
  await engine.signal(sagaId, 'answer', {});
  expect(await engine.ended(sagaId, { timeoutMs: 10_000 })).toBe('confirmed');
  expect(await sum('throughline.sagas.ended', { ...of, 'saga.outcome': 'confirmed' })).toBe(1);
  const seconds = async (name: string) => {
    const { resourceMetrics } = await reader.collect();
    const metric = resourceMetrics.scopeMetrics
      .flatMap((scope) => scope.metrics)
      .find(({ descriptor }) => descriptor.name === name);
    const point = metric?.dataPoints.find(({ attributes }) => attributes['saga.name'] === 'patient');
    return (point?.value as { sum?: number } | undefined)?.sum ?? Number.NaN;
  };
  expect(await seconds('throughline.saga.wait.duration')).toBeGreaterThan(3_500);
  expect(await seconds('throughline.saga.duration')).toBeLessThan(1_000);
  expect(await seconds('throughline.saga.step.duration')).toBeLessThan(1_000);
});
