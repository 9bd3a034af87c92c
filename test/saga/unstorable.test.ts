import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { defineSaga, operateSaga, type SagaEngine, skip, suspend } from '../../publisher/saga/index.ts';
import { defineJob } from '../../shared/index.ts';
import { PATIENCE_MS } from '../support/patience.ts';
import { createSagaLab, type SagaLab } from '../support/saga-lab.ts';

/** What PostgreSQL's JSON functions cannot give back must stop no saga. */
let lab: SagaLab;
const did: string[] = [];
beforeAll(async () => {
  lab = await createSagaLab();
});
beforeEach(() => {
  did.length = 0;
});
afterEach(() => lab.reset());
afterAll(() => lab.close());

const HALF = '😀'.slice(0, 1);
const SPELLED = { note: 'it reads \\u0000 and \\ud83d', '\\u0000': '😀' };
const errorsOf = async (sagaId: string) =>
  (await lab.events(sagaId)).flatMap((event) => ('error' in event ? event.error : []));

describe('what a step gives', () => {
  const input = z.object({ how: z.enum(['function', 'data', 'transaction', 'resume']) });
  const given = new Map<string, unknown>();
  const gives = defineSaga({ name: 'gives', version: 1, input })
    .step('first', {
      run: async ({ input: { how }, sagaId }) => {
        did.push('first');
        if (how === 'function') return given.get(sagaId);
        return how === 'transaction'
          ? 'nothing'
          : suspend('go', { timeoutMs: 60_000, data: dataOf(how, sagaId) });
      },
      signal: { name: 'go', payload: z.null(), resume: async ({ sagaId }) => given.get(sagaId) },
      compensate: async () => {
        did.push('undo first');
      },
    })
    .transaction('second', {
      transaction: async (_, { input: { how }, sagaId }) => {
        did.push('second');
        return how === 'transaction' ? given.get(sagaId) : 'nothing';
      },
      compensate: async () => {
        did.push('undo second');
      },
    })
    .build();
  const dataOf = (how: string, sagaId: string) => (how === 'data' ? given.get(sagaId) : null);

  test.each([
    ['function', { note: 'a\0' }, 'result.note', ['first', 'undo first']],
    ['function', HALF, 'result', ['first', 'undo first']],
    ['data', { url: ['b', HALF] }, 'data.url.1', ['first', 'undo first']],
    ['resume', { 'a\0': 1 }, 'result.a', ['first', 'undo first']],
    ['transaction', '\0', 'result', ['first', 'second', 'undo second', 'undo first']],
  ] as const)('as %s is refused once and compensated', async (how, value, path, expected) => {
    const engine = await lab.start([gives]);
    const sagaId = `${how}-${path}`;
    given.set(sagaId, value);
    await engine.begin(gives, { how }, { sagaId });
    if (how === 'resume') await engine.signal(sagaId, 'go', null);
    expect(await engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('compensated');
    expect(did).toEqual(expected);
    expect(await errorsOf(sagaId)).toEqual([
      { type: 'DATA_UNSTORABLE', message: expect.stringContaining(`${path}: expected text without NUL`) },
    ]);
  });

  test('may spell such an escape', async () => {
    const engine = await lab.start([gives]);
    given.set('spells', SPELLED);
    await engine.begin(gives, { how: 'function' }, { sagaId: 'spells' });
    expect(await engine.ended('spells', { timeoutMs: PATIENCE_MS })).toBe('confirmed');
    expect((await lab.events('spells'))[0]).toMatchObject({ kind: 'completed', result: SPELLED });
  });
});

describe('what a worker sends', () => {
  const job = defineJob({ name: 'set-up', version: 1, topic: 'jobs', payload: z.string() });
  const sends = defineSaga({ name: 'sends', version: 1, input: z.object({ timeoutMs: z.number() }) })
    .job('set-up', {
      job,
      payload: () => 'a payload may hold \0',
      result: z.unknown(),
      timeoutMs: 60_000,
      compensate: async ({ result }) => {
        did.push(`undo ${JSON.stringify(result)}`);
      },
    })
    .build();
  const dispatched = async (engine: SagaEngine) => {
    const { sagaId } = await engine.begin(sends, { timeoutMs: 60_000 });
    await lab.reaches(sagaId, 'waiting');
    return sagaId;
  };
  const fails = (engine: SagaEngine, sagaId: string, message: string) =>
    lab.db.database.transaction((tx) => {
      const [jobId, error] = [`${sagaId}/set-up`, { type: 'DOWN', message }];
      return engine.deliver(tx, { sagaId, jobId, outcome: 'failed', error });
    });

  test('as a result fails the step, which is compensated', async () => {
    const engine = await lab.start([sends]);
    const sagaId = await dispatched(engine);
    await lab.jobDone(engine, sagaId, 'set-up', { log: ['\0'] });
    expect(await engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('compensated');
    expect(did).toEqual(['undo undefined']);
    expect(await errorsOf(sagaId)).toMatchObject([
      { type: 'DATA_UNSTORABLE', message: expect.stringMatching(/^result\.log\.0: /) },
    ]);
  });

  test('as a result too late has the step compensated again', async () => {
    const engine = await lab.start([sends]);
    const sagaId = await dispatched(engine);
    await fails(engine, sagaId, 'gave up');
    expect(await engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('compensated');
    // A worker had the job twice: what it says now has a name of its own.
    await lab.db.database.query('DELETE FROM throughline.saga_signal WHERE saga_id = $1', [sagaId]);
    await lab.jobDone(engine, sagaId, 'set-up', '\0');
    await lab.reaches(sagaId, 'compensated');
    await expect
      .poll(() => lab.history(sagaId))
      .toEqual([
        'dispatched set-up 1',
        'failed set-up 1',
        'undone set-up 1',
        'completed-late set-up',
        'undone set-up 2',
      ]);
  });

  test('as the words of its failure is told without', async () => {
    const engine = await lab.start([sends]);
    const sagaId = await dispatched(engine);
    await fails(engine, sagaId, `down\0 and ${HALF}out`);
    expect(await engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('compensated');
    expect(await errorsOf(sagaId)).toEqual([{ type: 'DOWN', message: 'down and \ufffdout' }]);
  });
});

describe('a signal', () => {
  const asks = defineSaga({ name: 'asks', version: 1, input: z.object({}) })
    .step('ask', {
      run: async () => suspend('go', { timeoutMs: 60_000, data: null }),
      signal: {
        name: 'go',
        payload: z.record(z.string(), z.string()),
        resume: async (_, payload) => payload,
      },
      compensate: async () => {
        did.push('undo ask');
      },
    })
    .build();

  test('that could not be stored is refused, and a better one accepted', async () => {
    const engine = await lab.start([asks]);
    const { sagaId } = await engine.begin(asks, {});
    await lab.reaches(sagaId, 'waiting');
    await expect(engine.signal(sagaId, 'go', { note: 'a\0' })).rejects.toMatchObject({
      code: 'SAGA_INPUT_INVALID',
      issues: [expect.stringMatching(/^note: expected text without NUL/)],
    });
    expect(await engine.signal(sagaId, 'go', SPELLED)).toBe('accepted');
    expect(await engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('confirmed');
  });

  test('that older code has stored fails the step, and the saga is compensated', async () => {
    const engine = await lab.start([asks]);
    const { sagaId } = await engine.begin(asks, {});
    await lab.reaches(sagaId, 'waiting');
    await lab.db.database.query(
      `WITH woken AS (UPDATE throughline.saga SET wake_at = now() WHERE id = $1)
       INSERT INTO throughline.saga_signal (saga_id, name, payload, carrier) VALUES ($1, 'go', $2, '{}')`,
      [sagaId, JSON.stringify({ note: HALF })],
    );
    expect(await engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('compensated');
    expect(did).toEqual(['undo ask']);
    expect(await errorsOf(sagaId)).toMatchObject([
      { type: 'DATA_UNSTORABLE', message: expect.stringMatching(/^payload of signal "go"\.note: /) },
    ]);
  });
});

test('an input that could not be stored is refused, and hinders no saga that begins beside it', async () => {
  const takes = defineSaga({ name: 'takes', version: 1, input: z.object({ note: z.string() }) })
    .step('take', { run: async () => {}, compensate: skip('nothing to undo') })
    .build();
  const engine = await lab.start([takes]);
  const [bad, good, keyed] = await Promise.allSettled([
    engine.begin(takes, { note: '\0' }),
    engine.begin(takes, { note: SPELLED.note }),
    engine.begin(takes, { note: '' }, { orderKey: HALF }),
  ]);
  const refused = (where: string) => ({
    status: 'rejected',
    reason: { code: 'SAGA_INPUT_INVALID', issues: [expect.stringMatching(`^${where}: `)] },
  });
  expect([bad, keyed]).toMatchObject([refused('input.note'), refused('order_key')]);
  const sagaId = good?.status === 'fulfilled' ? good.value.sagaId : '';
  expect(await engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('confirmed');
});

test('long errors are cut between characters', async () => {
  const fails = defineSaga({ name: 'fails', version: 1, input: z.object({}) })
    .step('fail', {
      run: async () => {
        throw Object.assign(new Error(`${'x'.repeat(499)}😀`), { retryable: false });
      },
      compensate: skip('nothing to undo'),
    })
    .build();
  const engine = await lab.start([fails]);
  const { sagaId } = await engine.begin(fails, {});
  await engine.ended(sagaId, { timeoutMs: PATIENCE_MS });
  expect((await errorsOf(sagaId)).map(({ message }) => message)).toEqual(['x'.repeat(499)]);
});

test('an operator may write what they like', async () => {
  let isAway = true;
  const sticks = defineSaga({ name: 'sticks', version: 1, input: z.object({}) })
    .step('fail', {
      run: async () => {
        throw Object.assign(new Error('no'), { retryable: false });
      },
      compensate: {
        run: async () => {
          if (isAway) throw Object.assign(new Error('away'), { retryable: false });
        },
      },
    })
    .build();
  const engine = await lab.start([sticks]);
  const { sagaId } = await engine.begin(sticks, {});
  await lab.reaches(sagaId, 'stuck');
  isAway = false;
  const { database } = lab.db;
  await operateSaga(database, { sagaId, action: 'retry', actor: 'a\0da', reason: `it is ${HALF} back` });
  expect(await engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('compensated');
  const operator = (await lab.events(sagaId)).find(({ kind }) => kind === 'operator');
  expect(operator).toMatchObject({ actor: 'ada', reason: 'it is \ufffd back' });
});
