import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { defineSaga, type SagaEngine, suspend } from '../../publisher/saga/index.ts';
import { createGate } from '../support/gate.ts';
import { PATIENCE_MS } from '../support/patience.ts';
import { createSagaLab, type SagaLab, SHORT_LEASE } from '../support/saga-lab.ts';

let lab: SagaLab;
beforeAll(async () => {
  lab = await createSagaLab();
});
afterEach(() => lab.reset());
afterAll(() => lab.close());

const final = (message: string, effect?: 'none') =>
  Object.assign(new Error(message), { retryable: false, ...(effect && { effect }) });

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
    expect(await engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('confirmed');
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
    expect(await engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('confirmed');
    expect(await approve(engine, sagaId)).toBe('late');
    expect(of(sagaId)).toEqual(['resumed true']);
  });

  test('that arrives after the time-out is late, and changes nothing', async () => {
    const engine = await lab.start([asks]);
    const sagaId = await begin(engine, 10);
    expect(await engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('compensated');
    expect(await approve(engine, sagaId)).toBe('late');
    expect(await lab.history(sagaId)).toEqual(['suspended pay 1', 'failed pay 1', 'undone pay 1']);
    expect(of(sagaId)).toEqual(['refunded']);
  });

  test('that races with the deadline either resumes the step or times it out, never both', async () => {
    const [engine, other] = [await lab.start([asks]), await lab.start([asks])];
    const sagas = await Promise.all(Array.from({ length: 40 }, () => begin(engine, 60)));
    await Promise.all(sagas.map((sagaId) => lab.reaches(sagaId, 'waiting').catch(() => {})));
    await Promise.all(sagas.map((sagaId, index) => approve(index % 2 ? engine : other, sagaId)));
    const outcomes = await Promise.all(
      sagas.map((sagaId) => engine.ended(sagaId, { timeoutMs: PATIENCE_MS })),
    );
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
    expect(await engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('confirmed');
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
    expect(await second.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('confirmed');
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
    const first = await lab.start([asks], SHORT_LEASE);
    const sagaId = await begin(first);
    await lab.reaches(sagaId, 'waiting');
    // The first process takes the signal, and stalls before it can store that the resume failed.
    const stall = first.database.hold((text) => /saga-(append|checkpoint)|saga_runner/.test(text));
    await first.signal(sagaId, '3ds', { approved: false });
    await stall.reached;
    const second = await lab.start([asks]);
    expect(await second.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('compensated');
    stall.letGo();
    await first.stop();
    expect(of(sagaId).filter((line) => line === 'refunded')).toHaveLength(1);
    const history = await lab.history(sagaId);
    expect(history.filter((line) => line.startsWith('undone'))).toEqual(['undone pay 1']);
    expect(history).toContain('interrupted process-lost');
  });
});
