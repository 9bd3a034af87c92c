import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { defineSaga, readSaga, type SagaEngine, suspend } from '../../publisher/saga/index.ts';
import { defineJob } from '../../shared/index.ts';
import { createGate } from '../support/gate.ts';
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
    expect(await engine.ended(sagaId, { timeoutMs: 5_000 })).toBe('compensated');
    expect(undone).toEqual([undefined]);
    await lab.jobDone(engine, sagaId, 'j', { customer: 'c-1' });
    await expect.poll(() => undone, { timeout: 5_000 }).toEqual([undefined, { customer: 'c-1' }]);
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
    await expect.poll(() => undone, { timeout: 5_000 }).toEqual([undefined, { customer: 'c-2' }]);
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
    await expect.poll(() => tries, { timeout: 5_000 }).toBe(1);
    await lab.jobDone(first, sagaId, 'j', { customer: 'c-3' });
    const stopped = first.stop();
    gate.open();
    await stopped;
    const second = await lab.start([saga]);
    await expect.poll(() => undone, { timeout: 5_000 }).toEqual([undefined, { customer: 'c-3' }]);
    expect(await second.ended(sagaId, { timeoutMs: 5_000 })).toBe('compensated');
  });

  test('is not forgotten by a process that is told to stop with the result in hand', async () => {
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
    // An order to go on and the late result, both there when the next process takes the saga.
    await lab.jobDone(first, sagaId, 'j', { customer: 'c-4' });
    await lab.db.database.query(
      `INSERT INTO throughline.saga_signal (saga_id, name, payload, carrier) VALUES ($1, 'operator:1', $2, '{}')`,
      [sagaId, JSON.stringify({ action: 'skip', actor: 'ada', reason: 'by hand' })],
    );
    await lab.db.database.query('UPDATE throughline.saga SET wake_at = now() WHERE id = $1', [sagaId]);
    const second = await lab.start([saga], { isStarted: false });
    const hold = second.database.hold((text) => text.includes('throughline-saga-checkpoint'));
    await second.start();
    await hold.reached;
    const stopped = second.stop();
    hold.letGo();
    await stopped;
    const third = await lab.start([saga]);
    expect(await third.ended(sagaId, { timeoutMs: 5_000 })).toBe('compensated');
    expect(undone).toEqual([undefined, { customer: 'c-4' }]);
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
    await expect.poll(() => lab.history(sagaId), { timeout: 5_000 }).toContain('dispatched undo j 1');
    await lab.jobDone(engine, sagaId, 'j', { customer: 'c-5' });
    await expect.poll(() => lab.history(sagaId), { timeout: 5_000 }).toContain('completed-late j');
    await lab.jobDone(engine, sagaId, 'j/undo', null);
    await expect.poll(() => lab.history(sagaId), { timeout: 5_000 }).toContain('dispatched undo j 2');
    await lab.jobDone(engine, sagaId, 'j/undo/2', null);
    expect(await engine.ended(sagaId, { timeoutMs: 5_000 })).toBe('compensated');
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
    expect(await engine.ended(sagaId, { timeoutMs: 5_000 })).toBe('compensated');
    expect(effects).toEqual(['charged', 'refunded undefined after STEP_TIMEOUT']);
  });
});

describe('a signal', () => {
  const runs: string[] = [];
  const gates = new Map<string, ReturnType<typeof createGate>>();
  const asks = defineSaga({
    name: 'asks',
    version: 1,
    input: z.object({ timeoutMs: z.number(), gate: z.string() }),
  })
    .step('pay', {
      run: async ({ input: { timeoutMs, gate } }) => {
        await gates.get(gate)?.opened;
        return suspend('3ds', { timeoutMs, data: null });
      },
      signal: {
        name: '3ds',
        payload: z.strictObject({ approved: z.boolean() }),
        resume: async ({ sagaId }, { approved }) => {
          runs.push(`${sagaId} resumed ${approved}`);
          if (!approved) throw final('declined', 'none');
          return approved;
        },
      },
      compensate: async ({ sagaId }) => {
        runs.push(`${sagaId} refunded`);
      },
    })
    .build();
  const of = (sagaId: string) =>
    runs.filter((line) => line.startsWith(sagaId)).map((line) => line.slice(sagaId.length + 1));
  const begin = async (engine: SagaEngine, timeoutMs = 60_000, gate = '') => {
    const { sagaId } = await engine.begin(asks, { timeoutMs, gate });
    return sagaId;
  };
  const approve = (engine: SagaEngine, sagaId: string) => engine.signal(sagaId, '3ds', { approved: true });

  test('that arrives before the suspension is kept until then', async () => {
    const engine = await lab.start([asks]);
    const gate = createGate();
    gates.set('early', gate);
    const sagaId = await begin(engine, 60_000, 'early');
    expect(await approve(engine, sagaId)).toBe('accepted');
    gate.open();
    expect(await engine.ended(sagaId, { timeoutMs: 5_000 })).toBe('confirmed');
    expect(of(sagaId)).toEqual(['resumed true']);
  });

  test('that arrives twice, or ten times at once, resumes once', async () => {
    const [engine, other] = [await lab.start([asks]), await lab.start([asks])];
    const sagaId = await begin(engine);
    await lab.reaches(sagaId, 'waiting');
    const receipts = await Promise.all(
      Array.from({ length: 10 }, (_, index) => approve(index % 2 ? engine : other, sagaId)),
    );
    expect(receipts.filter((receipt) => receipt === 'accepted')).toHaveLength(1);
    expect(await engine.ended(sagaId, { timeoutMs: 5_000 })).toBe('confirmed');
    expect(await approve(engine, sagaId)).toBe('late');
    expect(of(sagaId)).toEqual(['resumed true']);
  });

  test('that arrives after the time-out is late, and changes nothing', async () => {
    const engine = await lab.start([asks]);
    const sagaId = await begin(engine, 10);
    expect(await engine.ended(sagaId, { timeoutMs: 5_000 })).toBe('compensated');
    expect(await approve(engine, sagaId)).toBe('late');
    expect(await lab.history(sagaId)).toEqual(['suspended pay 1', 'failed pay 1', 'undone pay 1']);
    expect(of(sagaId)).toEqual(['refunded']);
  });

  test('that races with the deadline either resumes the step or times it out, never both', async () => {
    const [engine, other] = [await lab.start([asks]), await lab.start([asks])];
    const sagas = await Promise.all(Array.from({ length: 40 }, () => begin(engine, 60)));
    await Promise.all(sagas.map((sagaId) => lab.reaches(sagaId, 'waiting').catch(() => {})));
    await Promise.all(sagas.map((sagaId, index) => approve(index % 2 ? engine : other, sagaId)));
    const outcomes = await Promise.all(sagas.map((sagaId) => engine.ended(sagaId, { timeoutMs: 10_000 })));
    for (const [index, sagaId] of sagas.entries())
      expect([outcomes[index], ...of(sagaId)]).toEqual(
        outcomes[index] === 'confirmed' ? ['confirmed', 'resumed true'] : ['compensated', 'refunded'],
      );
  });

  test('that a process brings which runs no sagas is seen by one that does', async () => {
    const engine = await lab.start([asks]);
    const web = await lab.start([asks], { isStarted: false });
    const sagaId = await begin(engine);
    await lab.reaches(sagaId, 'waiting');
    expect(await approve(web, sagaId)).toBe('accepted');
    expect(await engine.ended(sagaId, { timeoutMs: 5_000 })).toBe('confirmed');
  });

  test('that comes while the saga is let go by a process that dies then is seen by another', async () => {
    const first = await lab.start([asks]);
    const second = await lab.start([asks]);
    const gate = createGate();
    gates.set('dying', gate);
    const sagaId = await begin(first, 60_000, 'dying');
    const web = await lab.start([asks], { isStarted: false });
    expect(await approve(web, sagaId)).toBe('accepted');
    first.database.hold((text) => text.includes('throughline-saga-due-among'));
    gate.open();
    expect(await second.ended(sagaId, { timeoutMs: 5_000 })).toBe('confirmed');
  });

  test.each([
    ['of another name', 'pin', { approved: true }, 'SIGNAL_UNKNOWN'],
    ['of another shape', '3ds', { approved: 'yes' }, 'SAGA_INPUT_INVALID'],
  ])('%s is refused', async (_, name, payload, code) => {
    const engine = await lab.start([asks]);
    const sagaId = await begin(engine);
    await expect(engine.signal(sagaId, name, payload)).rejects.toMatchObject({ code });
    await expect(engine.signal('nobody', name, payload)).rejects.toMatchObject({ code: 'SAGA_UNKNOWN' });
  });

  test('a stale resume never runs a compensation twice', async () => {
    const first = await lab.start([asks]);
    const sagaId = await begin(first);
    await lab.reaches(sagaId, 'waiting');
    // The first process takes the signal, and stalls before it can store that the resume failed.
    const stall = first.database.hold((text) => /saga-(append|checkpoint)|saga_runner/.test(text));
    await first.signal(sagaId, '3ds', { approved: false });
    await stall.reached;
    const second = await lab.start([asks]);
    expect(await second.ended(sagaId, { timeoutMs: 10_000 })).toBe('compensated');
    stall.letGo();
    await first.stop();
    expect(of(sagaId).filter((line) => line === 'refunded')).toHaveLength(1);
    const history = await lab.history(sagaId);
    expect(history.filter((line) => line.startsWith('undone'))).toEqual(['undone pay 1']);
    expect(history).toContain('interrupted process-lost');
  });
});
