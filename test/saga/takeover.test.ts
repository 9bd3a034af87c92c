import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { defineSaga, type Saga, skip, suspend } from '../../publisher/saga/index.ts';
import { createGate } from '../support/gate.ts';
import { PATIENCE_MS } from '../support/patience.ts';
import { createSagaLab, type SagaLab, SHORT_LEASE } from '../support/saga-lab.ts';

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

/** Waits for a word. */
const waits = (timeoutMs = 60_000) =>
  defineSaga({ name: 'waits', version: 1, input })
    .step('wait', {
      run: async () => suspend('go', { timeoutMs, data: null }),
      signal: { name: 'go', payload: z.null(), resume: async () => 'gone' },
      compensate: skip('it only waits'),
    })
    .build();

/** How long the saga's owner has it. */
const leaseUntilMs = async (sagaId: string) => {
  const { rows } = await lab.db.database.query<{ lease_until: Date }>(
    'SELECT lease_until FROM throughline.saga_runner WHERE id = (SELECT owner FROM throughline.saga WHERE id = $1)',
    [sagaId],
  );
  return rows[0]?.lease_until.getTime() ?? 0;
};
const ownerOf = async (sagaId: string) => {
  const { rows } = await lab.db.database.query<{ owner: string | null }>(
    'SELECT owner FROM throughline.saga WHERE id = $1',
    [sagaId],
  );
  return rows[0]?.owner;
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
    expect(await second.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('confirmed');
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
    expect(await second.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('confirmed');
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
    expect(await second.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('confirmed');
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
    expect(await second.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('compensated');
    expect(log).toEqual(['a', 'a', 'undo a']);
    expect(await lab.history(sagaId)).toEqual(['interrupted process-lost', 'failed a 1', 'undone a 1']);
  });

  test('keeps its lease while a step is let finish, and nobody else runs it', async () => {
    const log: string[] = [];
    const gate = createGate();
    const saga = twoSteps(async (_, runs) => {
      await gate.opened;
      return `by run ${runs}`;
    }, log);
    const first = await lab.start([saga], { ...SHORT_LEASE, drainTimeoutMs: PATIENCE_MS });
    const { sagaId } = await first.begin(saga, {});
    await expect.poll(() => log).toEqual(['a']);
    const second = await lab.start([saga]);
    const stopped = first.stop();
    const stoppedMs = Date.now();
    await expect.poll(() => leaseUntilMs(sagaId)).toBeGreaterThan(stoppedMs + 4_000); // it has run out, but for renewals
    expect(log).toEqual(['a']);
    gate.open();
    await stopped;
    expect(await second.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('confirmed');
    expect(log).toEqual(['a', 'b']);
    expect(await lab.history(sagaId)).toEqual(['completed a 1', 'completed b 1']);
    expect((await lab.events(sagaId))[0]).toMatchObject({ result: 'by run 1' });
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
    expect(await second.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('confirmed');
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
    await Promise.all(begun.map(({ sagaId }) => web.ended(sagaId, { timeoutMs: PATIENCE_MS })));
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
    const first = await lab.start([saga], SHORT_LEASE);
    const { sagaId } = await first.begin(saga, {});
    await expect.poll(() => log).toEqual(['a']);
    const stall = first.database.hold(isStoring);
    gate.open();
    await stall.reached;
    const second = await lab.start([saga]);
    expect(await second.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('confirmed');
    stall.letGo();
    await expect
      .poll(() =>
        first.begin(saga, {}).then(({ sagaId: next }) => first.ended(next, { timeoutMs: PATIENCE_MS })),
      )
      .toBe('confirmed');
    expect(await lab.history(sagaId)).toEqual(['interrupted process-lost', 'completed a 1', 'completed b 1']);
    expect((await lab.events(sagaId))[1]).toMatchObject({ result: 'by run 2' });
  });

  test('aborts its steps then, though the renewal itself gets no answer', async () => {
    const log: unknown[] = [];
    const saga = twoSteps(async (signal, runs) => {
      if (runs > 1) return;
      await new Promise((_, reject) =>
        signal.addEventListener('abort', () => {
          log.push((signal.reason as { code?: string }).code);
          reject(signal.reason);
        }),
      );
    }, log as string[]);
    const first = await lab.start([saga], SHORT_LEASE);
    const { sagaId } = await first.begin(saga, {});
    await expect.poll(() => log).toEqual(['a']);
    const renewals = first.database.hold((text) => text.includes('INSERT INTO throughline.saga_runner'));
    await expect.poll(() => log).toEqual(['a', 'SAGA_LOST']);
    const second = await lab.start([saga]);
    expect(await second.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('confirmed');
    expect(log).toEqual(['a', 'SAGA_LOST', 'a', 'b']);
    renewals.letGo();
  });

  test('and whose late checkpoint comes just before the takeover is written leaves no saga to nobody', async () => {
    const log: string[] = [];
    const saga = twoSteps(async () => {}, log);
    const first = await lab.start([saga], SHORT_LEASE);
    const begun = first.database.hold((text) => text.includes('throughline-saga-append'));
    const { sagaId } = await first.begin(saga, {});
    await begun.reached;
    const renewals = first.database.hold((text) => text.includes('saga_runner'));
    const second = await lab.start([saga]);
    const takeover = second.database.hold(isCheckpoint);
    await takeover.reached; // it has claimed and read the saga, and not written yet
    begun.letGo();
    await expect.poll(() => lab.history(sagaId)).toEqual(['completed a 1']);
    await lab.kill(first);
    await lab.db.database.query(
      `UPDATE throughline.saga_runner SET lease_until = now() + interval '1 minute'
       WHERE id = (SELECT owner FROM throughline.saga WHERE id = $1)`,
      [sagaId],
    );
    takeover.letGo();
    expect(await second.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('confirmed');
    renewals.letGo();
    expect((await lab.history(sagaId)).filter((line) => line === 'completed a 1')).toHaveLength(1);
  });

  test('begins no further step, although it has stored the one before', async () => {
    const log: string[] = [];
    const saga = twoSteps(async () => {}, log);
    const first = await lab.start([saga], SHORT_LEASE);
    const stall = first.database.hold((text) => text.includes('throughline-saga-append'));
    const { sagaId } = await first.begin(saga, {});
    await stall.reached;
    first.database.hold((text) => text.includes('saga_runner'));
    const lapsed = () =>
      lab.db.database.query('SELECT id FROM throughline.saga_runner WHERE lease_until > now()');
    await expect.poll(async () => (await lapsed()).rows).toEqual([]);
    stall.letGo();
    await expect.poll(() => lab.history(sagaId)).toEqual(['completed a 1']);
    const second = await lab.start([saga]);
    expect(await second.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('confirmed');
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
    expect(await engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('confirmed');
  });

  test('of a checkpoint stores it once', async () => {
    const log: string[] = [];
    const saga = twoSteps(async () => {}, log);
    const engine = await lab.start([saga]);
    const lost = engine.database.loseAnswer((text) => text.includes('throughline-saga-append'));
    const sagaId = await begun(saga);
    await lost;
    expect(await engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('confirmed');
    expect(log).toEqual(['a', 'b']);
    expect(await lab.history(sagaId)).toEqual(['completed a 1', 'completed b 1']);
  });

  test('of a release, or one that never arrives, leaves no saga to nobody', async () => {
    const gate = createGate();
    const saga = twoSteps(() => gate.opened);
    gate.open();
    const engine = await lab.start([saga]);
    const sagaId = await begun(saga);
    expect(await engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('confirmed');
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

describe("a saga that is a living process's, and that nobody in it has", () => {
  const isRelease = (text: string) => text.includes('throughline-saga-release');
  const isParking = (text: string) => text.includes('parked = $3');
  test('is found when it could not be parked', async () => {
    const saga = twoSteps(async () => {});
    const engine = await lab.start([saga]);
    const refused = [engine.database.refuse(isCheckpoint, '57014'), engine.database.loseStatement(isParking)];
    const { sagaId } = await engine.begin(saga, {});
    await Promise.all(refused);
    await lab.reaches(sagaId, 'confirmed');
    expect(await lab.history(sagaId)).toEqual(['interrupted process-lost', 'completed a 1', 'completed b 1']);
  });

  test.each([
    ['is parked, and goes on, when the server refuses its release', [isRelease]],
    ['is found when the server refuses its release, and to park it', [isRelease, isParking]],
  ])('%s', async (_, statements) => {
    const saga = waits();
    const engine = await lab.start([saga]);
    const { sagaId } = await engine.begin(saga, {});
    await lab.reaches(sagaId, 'waiting');
    const refused = statements.map((matches) => engine.database.refuse(matches, '55P03'));
    // Somebody wants it looked at, though nothing came.
    await lab.db.database.query('UPDATE throughline.saga SET wake_at = now() WHERE id = $1', [sagaId]);
    await Promise.all(refused);
    await expect.poll(() => ownerOf(sagaId)).toBeNull();
    await engine.signal(sagaId, 'go', null);
    expect(await engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('confirmed');
  });
});

describe('a saga that waits', () => {
  test('is left to the database for so long that its time is found by polling', async () => {
    const saga = waits(1_800_000);
    const engine = await lab.start([saga]);
    const { sagaId } = await engine.begin(saga, {});
    await lab.reaches(sagaId, 'waiting');
    // Half an hour passes.
    await lab.db.database.query(
      `UPDATE throughline.saga_journal SET events = jsonb_set(events::jsonb, '{0,deadlineMs}', '0')::json WHERE saga_id = $1`,
      [sagaId],
    );
    await lab.db.database.query('UPDATE throughline.saga SET wake_at = now() WHERE id = $1', [sagaId]);
    expect(await engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('compensated');
  });

  test('for what has come is not taken by an engine that has as many as it may', async () => {
    const gate = createGate();
    const log: string[] = [];
    const blocker = twoSteps(() => gate.opened, log);
    const saga = waits();
    const engine = await lab.start([blocker, saga], { maxActive: 1 });
    const { sagaId } = await engine.begin(saga, {});
    await lab.reaches(sagaId, 'waiting');
    await engine.begin(blocker, {});
    await expect.poll(() => log).toEqual(['a']);
    await engine.signal(sagaId, 'go', null);
    expect(await ownerOf(sagaId)).toBeNull();
    expect(await lab.state(sagaId)).toBe('waiting');
    gate.open();
    expect(await engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('confirmed');
  });
});

test('a saga that has ended is not claimed again, whatever comes for it', async () => {
  const saga = twoSteps(async () => {});
  const engine = await lab.start([saga]);
  const { sagaId } = await engine.begin(saga, {});
  expect(await engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('confirmed');
  const claim = engine.database.hold((text) => text.includes('throughline-saga-claim'), 'answer');
  await lab.jobDone(engine, sagaId, 'a', null);
  await claim.reached;
  expect(await ownerOf(sagaId)).toBeNull();
  claim.letGo();
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
    await expect.poll(() => log).toHaveLength(deaths);
    await lab.kill(engine);
    engine = await lab.start([saga]);
  }
  expect(await engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('compensated');
  expect(log).toEqual(['a', 'a', 'a', 'a', 'a', 'undo after PROCESS_LOST']);
});
