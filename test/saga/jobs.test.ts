import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { defineSaga, readSaga, skip } from '../../publisher/saga/index.ts';
import { defineJob, inSpan } from '../../shared/index.ts';
import { replyToSaga } from '../../subscriber/index.ts';
import { findDisconnections, normalisedTree } from '../../testing/index.ts';
import { PATIENCE_MS } from '../support/patience.ts';
import { EMBEDDED } from '../support/pubsub-target.ts';
import { createSagaSystem, JOBS, RESULTS, type SagaSystem } from '../support/saga-system.ts';
import { type Stage, startStage } from '../support/stage.ts';

const retry = { maxAttempts: 2, minBackoffMs: 10, maxBackoffMs: 20 };
const perOrder = { topic: JOBS, orderingKey: (_: unknown, orderKey: string | undefined) => orderKey, retry };
const setUp = defineJob({
  name: 'workspace.set-up',
  version: 1,
  payload: z.strictObject({ domain: z.string(), fail: z.boolean() }),
  ...perOrder,
});
const tearDown = defineJob({
  name: 'workspace.tear-down',
  version: 1,
  payload: z.strictObject({ domain: z.string(), customer: z.string().optional() }),
  ...perOrder,
});

const input = z.object({ domain: z.string(), fail: z.enum(['no', 'set-up', 'after']).default('no') });
const order = defineSaga({ name: 'order', version: 1, input })
  .step('redeem-card', {
    run: async () => 'card-1',
    compensate: async () => {
      effects.push('reactivate');
    },
  })
  .job('set-up-workspace', {
    job: setUp,
    payload: ({ input: { domain, fail } }) => ({ domain, fail: fail === 'set-up' }),
    result: z.object({ customer: z.string() }),
    compensate: {
      job: tearDown,
      payload: ({ input: { domain }, result }) => ({ domain, ...(result && { customer: result.customer }) }),
    },
  })
  .step('confirm-order', {
    run: async ({ input: { fail }, results }) => {
      effects.push(`confirm ${results['set-up-workspace'].customer}`);
      if (fail === 'after') throw Object.assign(new Error('no'), { retryable: false, effect: 'none' });
    },
    compensate: skip('the last one'),
  })
  .build();

let stage: Stage;
let system: SagaSystem;
const effects: string[] = [];

beforeAll(async () => {
  stage = await startStage(EMBEDDED);
  system = await createSagaSystem(stage, { sagas: [order] });
  const { worker, outbox } = system;
  worker.handle(
    ...replyToSaga(
      outbox,
      setUp,
      async ({ payload: { domain, fail }, attempt }) => {
        effects.push(`set up ${domain}, attempt ${attempt}`);
        if (fail) throw new Error('the directory is down');
        return { customer: `c-${domain}` };
      },
      { topics: [RESULTS] },
    ),
  );
  worker.handle(
    ...replyToSaga(outbox, tearDown, async ({ payload: { domain, customer } }) => {
      effects.push(`tear down ${domain} ${customer}`);
    }),
  );
  await system.start();
});
afterAll(async () => {
  await system.close();
  await stage.close();
});

async function place(orderKey: string, fail: 'no' | 'set-up' | 'after') {
  effects.length = 0;
  const { sagaId } = await inSpan('place order', { attributes: { 'order.event_id': orderKey } }, () =>
    system.engine.begin(order, { domain: orderKey, fail }, { orderKey }),
  );
  const outcome = await system.engine.ended(sagaId, { timeoutMs: PATIENCE_MS });
  await stage.collector.waitFor(
    () => {
      void stage.flush();
      return findDisconnections(stage.collector.spans, orderKey).length === 0;
    },
    { timeoutMs: PATIENCE_MS },
  );
  const spans = stage.collector.spans.filter(({ attributes }) => attributes['order.event_id'] === orderKey);
  return { outcome, sagaId, tree: normalisedTree(spans) };
}

test('a job step is run by the worker, and its result is known to the next step', async () => {
  const { outcome, tree } = await place('o-1', 'no');
  expect(outcome).toBe('confirmed');
  expect(effects).toEqual(['set up o-1, attempt 1', 'confirm c-o-1']);
  expect(tree).toMatchInlineSnapshot(`
    "place order [shop]
      saga order [shop]
        step redeem-card [shop]
        step set-up-workspace [shop]
          send jobs [shop]
            process jobs [shop] attempt=1 link:producer→send jobs
              send results [shop]
                process results [shop] attempt=1 link:producer→send results
        step confirm-order [shop]"
  `);
});

test('a job that the worker gives up is torn down and everything before it is compensated', async () => {
  const { outcome, tree } = await place('o-2', 'set-up');
  expect(outcome).toBe('compensated');
  expect(effects).toEqual([
    'set up o-2, attempt 1',
    'set up o-2, attempt 2',
    'tear down o-2 undefined',
    'reactivate',
  ]);
  expect(tree).toMatchInlineSnapshot(`
    "place order [shop]
      saga order [shop] error=DEAD_LETTER link:failed-step→step set-up-workspace
        step redeem-card [shop]
        step set-up-workspace [shop] error=DEAD_LETTER
          send jobs [shop]
            process jobs [shop] attempt=1 error=Error link:producer→send jobs
            process jobs [shop] attempt=2 error=Error link:producer→send jobs link:previous-attempt→process jobs
              send jobs-dead-letters [shop]
              send results [shop]
                process results [shop] attempt=1 link:producer→send results
        compensate set-up-workspace [shop] link:undoes→step set-up-workspace link:failed-step→step set-up-workspace
          send jobs [shop]
            process jobs [shop] attempt=1 link:producer→send jobs
              send results [shop]
                process results [shop] attempt=1 link:producer→send results
        compensate redeem-card [shop] link:undoes→step redeem-card link:failed-step→step set-up-workspace"
  `);
});

test('a compensation that is a job gets what the step returned', async () => {
  const { outcome, sagaId } = await place('o-3', 'after');
  expect(outcome).toBe('compensated');
  expect(effects).toEqual(['set up o-3, attempt 1', 'confirm c-o-3', 'tear down o-3 c-o-3', 'reactivate']);
  const kinds = (await readSaga(system.db.database, sagaId))?.history.map(({ event }) => event.kind);
  expect(kinds).toEqual(['completed', 'dispatched', 'completed', 'failed', 'dispatched', 'undone', 'undone']);
  const { rows } = await system.db.database.query('SELECT job_id FROM throughline.outbox');
  expect(rows).toEqual([]);
});

test('a job does not run when a stranger names the topic of its result, and nothing is told there', async () => {
  effects.length = 0;
  const forged = { 'throughline-saga': 'none', 'throughline-saga-reply': 'nowhere' };
  const { database } = system.db;
  await database.transaction((tx) =>
    system.outbox.enqueue(
      tx,
      setUp,
      { domain: 'x', fail: false },
      { jobId: 'forged', orderKey: 'o-4', attributes: forged },
    ),
  );
  const inbox = async () =>
    (await database.query(`SELECT state, reason FROM throughline.inbox WHERE job_id = 'forged'`)).rows[0];
  await expect.poll(inbox).toEqual({
    state: 'dead',
    reason: 'throughline-saga-reply: results are not told on "nowhere"',
  });
  expect(effects).toEqual([]);
  const { rows } = await database.query(`SELECT job_id FROM throughline.outbox WHERE topic = 'nowhere'`);
  expect(rows).toEqual([]);
});
