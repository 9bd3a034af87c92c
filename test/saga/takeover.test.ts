import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { defineSaga, type Saga, skip } from '../../publisher/saga/index.ts';
import { createGate } from '../support/gate.ts';
import { createSagaLab, type SagaLab } from '../support/saga-lab.ts';

let lab: SagaLab;
beforeAll(async () => {
  lab = await createSagaLab();
});
afterEach(() => lab.reset());
afterAll(() => lab.close());

const input = z.object({});
const noEffect = () => Object.assign(new Error('no'), { retryable: false, effect: 'none' });
const isCheckpoint = (text: string) => /throughline-saga-(append|checkpoint)/.test(text);
const isStoring = (text: string) => isCheckpoint(text) || text.includes('saga_runner');

/** Two steps; `run` is the first one's. */
const twoSteps = (run: (signal: AbortSignal, engine: number) => Promise<unknown>, log: string[] = []) => {
  let runs = 0;
  return defineSaga({ name: 'two', version: 1, input })
    .step('a', {
      run: async ({ signal }) => {
        runs += 1;
        log.push('a');
        return run(signal, runs);
      },
      compensate: async () => {
        log.push('undo a');
      },
    })
    .step('b', {
      run: async () => {
        log.push('b');
      },
      compensate: skip('the last one'),
    })
    .build();
};

describe('an engine that stops', () => {
  test('waits for the step that runs, hands the saga back, and another goes on with the next', async () => {
    const log: string[] = [];
    const gate = createGate();
    const saga = twoSteps(() => gate.opened, log);
    const first = await lab.start([saga], { drainTimeoutMs: 10_000 });
    const { sagaId } = await first.begin(saga, {});
    await expect.poll(() => log).toEqual(['a']);
    const stopped = first.stop();
    gate.open();
    await stopped;
    const second = await lab.start([saga]);
    expect(await second.ended(sagaId, { timeoutMs: 5_000 })).toBe('confirmed');
    expect(log).toEqual(['a', 'b']);
    expect(await lab.history(sagaId)).toEqual(['completed a 1', 'completed b 1']);
  });

  test('in the middle of a step cuts it short, and another runs the same attempt again', async () => {
    const log: string[] = [];
    const saga = twoSteps(async (signal, runs) => {
      if (runs > 1) return;
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    }, log);
    const first = await lab.start([saga]);
    const { sagaId } = await first.begin(saga, {});
    await expect.poll(() => log).toEqual(['a']);
    await first.stop();
    await first.stop();
    expect(await lab.history(sagaId)).toEqual(['interrupted shutdown']);
    const second = await lab.start([saga]);
    expect(await second.ended(sagaId, { timeoutMs: 5_000 })).toBe('confirmed');
    expect(await lab.history(sagaId)).toEqual(['interrupted shutdown', 'completed a 1', 'completed b 1']);
  });

  test('does not count what it cut short as a failure, however the step words it', async () => {
    const saga = twoSteps(async (signal, runs) => {
      if (runs > 1) return;
      await new Promise((_, reject) =>
        signal.addEventListener('abort', () => reject(Object.assign(noEffect(), { message: 'no answer' }))),
      );
    });
    const first = await lab.start([saga]);
    const { sagaId } = await first.begin(saga, {});
    await lab.reaches(sagaId, 'running');
    await first.stop();
    const second = await lab.start([saga]);
    expect(await second.ended(sagaId, { timeoutMs: 5_000 })).toBe('confirmed');
    expect(await lab.history(sagaId)).toContain('interrupted shutdown');
  });

  test('leaves a step that does not heed it to be taken over, as one that may have happened', async () => {
    const log: string[] = [];
    const saga = twoSteps(async (_, runs) => {
      if (runs === 1) await new Promise(() => {});
      throw noEffect();
    }, log);
    const first = await lab.start([saga]);
    const { sagaId } = await first.begin(saga, {});
    await expect.poll(() => log).toEqual(['a']);
    await first.stop();
    const second = await lab.start([saga]);
    expect(await second.ended(sagaId, { timeoutMs: 5_000 })).toBe('compensated');
    expect(log).toEqual(['a', 'a', 'undo a']);
    expect(await lab.history(sagaId)).toEqual(['interrupted process-lost', 'failed a 1', 'undone a 1']);
  });

  test('loses no saga whose beginning was not committed yet', async () => {
    const saga = twoSteps(async () => {});
    const first = await lab.start([saga]);
    const sagaId = await first.database.transaction(async (tx) => {
      const begun = await first.begin(saga, {}, { tx });
      await first.stop();
      // As if the process ended right after the commit.
      first.database.hold();
      return begun.sagaId;
    });
    const second = await lab.start([saga]);
    expect(await second.ended(sagaId, { timeoutMs: 5_000 })).toBe('confirmed');
  });

  test('begins no more sagas', async () => {
    const saga = twoSteps(async () => {});
    const engine = await lab.start([saga]);
    await engine.stop();
    await expect(engine.begin(saga, {})).rejects.toMatchObject({ code: 'ENGINE_STOPPING' });
  });
});

describe('several engines', () => {
  test('share two hundred sagas, and each step runs once', async () => {
    const runs = new Map<string, number>();
    const count = (key: string) => runs.set(key, (runs.get(key) ?? 0) + 1);
    const step = { compensate: skip('only counted') };
    const saga = defineSaga({ name: 'many', version: 1, input })
      .step('a', { ...step, run: async ({ idempotencyKey }) => void count(idempotencyKey) })
      .step('b', { ...step, run: async ({ idempotencyKey }) => void count(idempotencyKey) })
      .step('c', { ...step, run: async ({ idempotencyKey }) => void count(idempotencyKey) })
      .build();
    const web = await lab.start([saga], { isStarted: false });
    const engines = [await lab.start([saga], { maxActive: 10 }), await lab.start([saga], { maxActive: 10 })];
    const begun = await Promise.all(Array.from({ length: 200 }, () => web.begin(saga, {})));
    await Promise.all(begun.map(({ sagaId }) => web.ended(sagaId, { timeoutMs: 20_000 })));
    expect(runs.size).toBe(600);
    expect([...runs.values()].filter((times) => times !== 1)).toEqual([]);
    const { rows } = await lab.db.database.query<{ writers: string }>(
      'SELECT count(DISTINCT writer) AS writers FROM throughline.saga_journal WHERE saga_id = ANY($1)',
      [begun.map(({ sagaId }) => sagaId)],
    );
    expect(rows).toEqual([{ writers: String(engines.length) }]);
  });
});

describe('a runner whose lease runs out', () => {
  test('loses its sagas, its late checkpoint is refused, and it goes on as another runner', async () => {
    const log: string[] = [];
    const gate = createGate();
    const saga = twoSteps(async (_, runs) => {
      await gate.opened;
      return `by run ${runs}`;
    }, log);
    const first = await lab.start([saga]);
    const { sagaId } = await first.begin(saga, {});
    await expect.poll(() => log).toEqual(['a']);
    const stall = first.database.hold(isStoring);
    gate.open();
    await stall.reached;
    const second = await lab.start([saga]);
    expect(await second.ended(sagaId, { timeoutMs: 10_000 })).toBe('confirmed');
    stall.letGo();
    await expect
      .poll(() => first.begin(saga, {}).then(({ sagaId: next }) => first.ended(next, { timeoutMs: 5_000 })))
      .toBe('confirmed');
    expect(await lab.history(sagaId)).toEqual(['interrupted process-lost', 'completed a 1', 'completed b 1']);
    expect((await lab.events(sagaId))[1]).toMatchObject({ result: 'by run 2' });
  });

  test('and whose late checkpoint comes just before the takeover is written leaves no saga to nobody', async () => {
    const log: string[] = [];
    const saga = twoSteps(async () => {}, log);
    const first = await lab.start([saga]);
    const begun = first.database.hold((text) => text.includes('throughline-saga-append'));
    const { sagaId } = await first.begin(saga, {});
    await begun.reached;
    const renewals = first.database.hold((text) => text.includes('saga_runner'));
    const second = await lab.start([saga]);
    const takeover = second.database.hold(isCheckpoint);
    await takeover.reached; // it has claimed and read the saga, and not written yet
    begun.letGo();
    await expect.poll(() => lab.history(sagaId), { timeout: 5_000 }).toEqual(['completed a 1']);
    await lab.kill(first);
    await lab.db.database.query(
      `UPDATE throughline.saga_runner SET lease_until = now() + interval '1 minute'
       WHERE id = (SELECT owner FROM throughline.saga WHERE id = $1)`,
      [sagaId],
    );
    takeover.letGo();
    expect(await second.ended(sagaId, { timeoutMs: 10_000 })).toBe('confirmed');
    renewals.letGo();
    expect((await lab.history(sagaId)).filter((line) => line === 'completed a 1')).toHaveLength(1);
  });

  test('begins no further step, although it has stored the one before', async () => {
    const log: string[] = [];
    const saga = twoSteps(async () => {}, log);
    const first = await lab.start([saga]);
    const stall = first.database.hold((text) => text.includes('throughline-saga-append'));
    const { sagaId } = await first.begin(saga, {});
    await stall.reached;
    first.database.hold((text) => text.includes('saga_runner'));
    const lapsed = () =>
      lab.db.database.query('SELECT id FROM throughline.saga_runner WHERE lease_until > now()');
    await expect.poll(async () => (await lapsed()).rows, { timeout: 5_000 }).toEqual([]);
    stall.letGo();
    await expect.poll(() => lab.history(sagaId)).toEqual(['completed a 1']);
    const second = await lab.start([saga]);
    expect(await second.ended(sagaId, { timeoutMs: 5_000 })).toBe('confirmed');
    expect(log).toEqual(['a', 'b']);
    expect(await lab.history(sagaId)).toEqual(['completed a 1', 'interrupted process-lost', 'completed b 1']);
  });
});

describe('an answer of the database that is lost', () => {
  const begun = async (saga: Saga<typeof input>) => {
    const web = await lab.start([saga], { isStarted: false });
    return (await web.begin(saga, {})).sagaId;
  };

  test('of a claim leaves no saga to nobody', async () => {
    const saga = twoSteps(async () => {});
    const engine = await lab.start([saga], { isStarted: false });
    const sagaId = await begun(saga);
    const lost = engine.database.loseAnswer((text) => text.includes('throughline-saga-due:'));
    await engine.start();
    await lost;
    expect(await engine.ended(sagaId, { timeoutMs: 5_000 })).toBe('confirmed');
  });

  test('of a checkpoint stores it once', async () => {
    const log: string[] = [];
    const saga = twoSteps(async () => {}, log);
    const engine = await lab.start([saga]);
    const lost = engine.database.loseAnswer((text) => text.includes('throughline-saga-append'));
    const sagaId = await begun(saga);
    await lost;
    expect(await engine.ended(sagaId, { timeoutMs: 5_000 })).toBe('confirmed');
    expect(log).toEqual(['a', 'b']);
    expect(await lab.history(sagaId)).toEqual(['completed a 1', 'completed b 1']);
  });

  test('of a release, or one that never arrives, leaves no saga to nobody', async () => {
    const gate = createGate();
    const saga = twoSteps(() => gate.opened);
    gate.open();
    const engine = await lab.start([saga]);
    const sagaId = await begun(saga);
    expect(await engine.ended(sagaId, { timeoutMs: 5_000 })).toBe('confirmed');
    // Somebody wants it looked at again, though there is nothing to do.
    const lost = engine.database.loseStatement((text) => text.includes('throughline-saga-release'));
    await lab.db.database.query(
      'UPDATE throughline.saga SET wake_at = now(), ended_at = NULL WHERE id = $1',
      [sagaId],
    );
    await lost;
    await expect
      .poll(
        async () =>
          (
            await lab.db.database.query(
              'SELECT owner, ended_at IS NOT NULL AS ended FROM throughline.saga WHERE id = $1',
              [sagaId],
            )
          ).rows,
      )
      .toEqual([{ owner: null, ended: true }]);
  });
});

test('a step at which processes die again and again has failed, whatever its definition says of errors', async () => {
  const log: string[] = [];
  const saga = defineSaga({ name: 'deadly', version: 1, input })
    .step('a', {
      run: async () => {
        log.push('a');
        await new Promise(() => {});
      },
      isFinal: () => false,
      compensate: async ({ failure }) => {
        log.push(`undo after ${failure.type}`);
      },
    })
    .build();
  let engine = await lab.start([saga]);
  const { sagaId } = await engine.begin(saga, {});
  for (let deaths = 1; deaths <= 5; deaths++) {
    await expect.poll(() => log, { timeout: 5_000 }).toHaveLength(deaths);
    await lab.kill(engine);
    engine = await lab.start([saga]);
  }
  expect(await engine.ended(sagaId, { timeoutMs: 10_000 })).toBe('compensated');
  expect(log).toEqual(['a', 'a', 'a', 'a', 'a', 'undo after PROCESS_LOST']);
});
