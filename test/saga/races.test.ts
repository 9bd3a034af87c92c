import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { defineSaga, operateSaga, readSaga } from '../../publisher/saga/index.ts';
import { defineJob } from '../../shared/index.ts';
import { createGate } from '../support/gate.ts';
import { PATIENCE_MS } from '../support/patience.ts';
import { createSagaLab, type SagaLab } from '../support/saga-lab.ts';

let lab: SagaLab;
beforeAll(async () => {
  lab = await createSagaLab();
});
afterEach(() => lab.reset());
afterAll(() => lab.close());

const input = z.object({});
const final = (message: string, effect?: 'none') =>
  Object.assign(new Error(message), { retryable: false, ...(effect && { effect }) });

const setUp = defineJob({ name: 'set-up', version: 1, topic: 'jobs', payload: z.strictObject({}) });
const tearDown = defineJob({
  name: 'tear-down',
  version: 1,
  topic: 'jobs',
  payload: z.strictObject({ customer: z.string().optional() }),
});

describe('a step that completes after the rollback was planned', () => {
  /** A function, then a job that is given up almost at once; `undo` is what undoes the job. */
  const withJob = (undoA: () => Promise<void>, undo: (result: unknown) => Promise<void>) =>
    defineSaga({ name: 'late', version: 1, input })
      .step('a', { run: async () => 'a', compensate: { run: undoA, retry: { maxAttempts: 1 } } })
      .job('j', {
        job: setUp,
        payload: () => ({}),
        result: z.object({ customer: z.string() }),
        timeoutMs: 30,
        compensate: async ({ result }) => undo(result),
      })
      .build();

  test('is compensated with its result, though it had been compensated without', async () => {
    const undone: unknown[] = [];
    const saga = withJob(
      async () => {},
      async (result) => void undone.push(result),
    );
    const engine = await lab.start([saga]);
    const { sagaId } = await engine.begin(saga, {});
    expect(await engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('compensated');
    expect(undone).toEqual([undefined]);
    await lab.jobDone(engine, sagaId, 'j', { customer: 'c-1' });
    await expect.poll(() => undone).toEqual([undefined, { customer: 'c-1' }]);
    await lab.reaches(sagaId, 'compensated');
    expect((await readSaga(lab.db.database, sagaId))?.endedAt).toBeDefined();
    expect(await lab.history(sagaId)).toEqual([
      'completed a 1',
      'dispatched j 1',
      'failed j 1',
      'undone j 1',
      'undone a 1',
      'completed-late j',
      'undone j 2',
    ]);
  });

  test('is compensated with its result when that comes while another compensation runs', async () => {
    const gate = createGate();
    const undone: unknown[] = [];
    const saga = withJob(
      () => gate.opened,
      async (result) => void undone.push(result),
    );
    const engine = await lab.start([saga]);
    const { sagaId } = await engine.begin(saga, {});
    await lab.reaches(sagaId, 'compensating');
    await expect.poll(() => undone).toEqual([undefined]);
    await lab.jobDone(engine, sagaId, 'j', { customer: 'c-2' });
    gate.open();
    await expect.poll(() => undone).toEqual([undefined, { customer: 'c-2' }]);
    await lab.reaches(sagaId, 'compensated');
  });

  test('is still compensated when the process that ran the rollback stops before it sees the result', async () => {
    const gate = createGate();
    const undone: unknown[] = [];
    let tries = 0;
    const saga = withJob(
      async () => {
        tries += 1;
        if (tries === 1) await gate.opened;
      },
      async (result) => void undone.push(result),
    );
    const first = await lab.start([saga], { drainTimeoutMs: 5_000 });
    const { sagaId } = await first.begin(saga, {});
    await expect.poll(() => tries).toBe(1);
    await lab.jobDone(first, sagaId, 'j', { customer: 'c-3' });
    const stopped = first.stop();
    gate.open();
    await stopped;
    const second = await lab.start([saga]);
    await expect.poll(() => undone).toEqual([undefined, { customer: 'c-3' }]);
    expect(await second.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('compensated');
  });

  test('is not forgotten by a process that is told to stop with the result in hand', async () => {
    const undone: unknown[] = [];
    let tries = 0;
    const saga = withJob(
      async () => {
        tries += 1;
        if (tries === 1) await new Promise(() => {});
      },
      async (result) => void undone.push(result),
    );
    const first = await lab.start([saga]);
    const { sagaId } = await first.begin(saga, {});
    await expect.poll(() => tries).toBe(1);
    await lab.jobDone(first, sagaId, 'j', { customer: 'c-4' });
    await lab.kill(first);
    const second = await lab.start([saga], { isStarted: false });
    const hold = second.database.hold((text) => text.includes('throughline-saga-append'));
    await second.start();
    await hold.reached; // it writes that it has taken the saga over, and is told to stop
    const stopped = second.stop();
    hold.letGo();
    await stopped;
    const third = await lab.start([saga], { isStarted: false });
    const loading = third.database.hold((text) => text.includes('throughline-saga-signals'));
    await third.start();
    await loading.reached; // it has claimed the saga, reads what came for it, and is told to stop
    const stoppedToo = third.stop();
    loading.letGo();
    await stoppedToo;
    const last = await lab.start([saga]);
    expect(await last.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('compensated');
    expect(undone).toEqual([undefined, { customer: 'c-4' }]);
  });

  test('is not forgotten when an operator ends the rollback by a process that then stops', async () => {
    const undone: unknown[] = [];
    const saga = withJob(
      async () => {
        throw final('the bank is closed');
      },
      async (result) => void undone.push(result),
    );
    const first = await lab.start([saga]);
    const { sagaId } = await first.begin(saga, {});
    await lab.reaches(sagaId, 'stuck');
    await first.stop();
    await operateSaga(lab.db.database, { sagaId, action: 'skip', actor: 'ada', reason: 'by hand' });
    await lab.jobDone(first, sagaId, 'j', { customer: 'c-6' });
    const second = await lab.start([saga], { isStarted: false });
    const hold = second.database.hold((text) => text.includes('throughline-saga-checkpoint'));
    await second.start();
    await hold.reached;
    const stopped = second.stop();
    hold.letGo();
    await stopped;
    const third = await lab.start([saga]);
    expect(await third.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('compensated');
    expect(undone).toEqual([undefined, { customer: 'c-6' }]);
  });

  test('is undone again when the job that undoes it was sent before', async () => {
    const payloads: unknown[] = [];
    const saga = defineSaga({ name: 'late-job', version: 1, input })
      .job('j', {
        job: setUp,
        payload: () => ({}),
        result: z.object({ customer: z.string() }),
        timeoutMs: 30,
        compensate: {
          job: tearDown,
          payload: ({ result }) => {
            payloads.push(result);
            return { customer: result?.customer };
          },
        },
      })
      .build();
    const engine = await lab.start([saga]);
    const { sagaId } = await engine.begin(saga, {});
    await expect.poll(() => lab.history(sagaId)).toContain('dispatched undo j 1');
    await lab.jobDone(engine, sagaId, 'j', { customer: 'c-5' });
    await expect.poll(() => lab.history(sagaId)).toContain('completed-late j');
    await lab.jobDone(engine, sagaId, 'j/undo', null);
    await expect.poll(() => lab.history(sagaId)).toContain('dispatched undo j 2');
    await lab.jobDone(engine, sagaId, 'j/undo/2', null);
    expect(await engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('compensated');
    expect(payloads).toEqual([undefined, { customer: 'c-5' }]);
  });

  test('that was given up and has its effect later is compensated, and its result is not known', async () => {
    const gate = createGate();
    const effects: string[] = [];
    const landed = Promise.withResolvers<void>();
    const saga = defineSaga({ name: 'slow', version: 1, input })
      .step('a', {
        run: async () => {
          await gate.opened; // heeds no signal
          effects.push('charged');
          landed.resolve();
          return 'receipt';
        },
        timeoutMs: 20,
        retry: { maxAttempts: 1 },
        compensate: async ({ result, failure }) => {
          gate.open();
          await landed.promise;
          effects.push(`refunded ${result} after ${failure.type}`);
        },
      })
      .build();
    const engine = await lab.start([saga]);
    const { sagaId } = await engine.begin(saga, {});
    expect(await engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('compensated');
    expect(effects).toEqual(['charged', 'refunded undefined after STEP_TIMEOUT']);
  });
});
