import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { createMessageOutbox } from '../../publisher/index.ts';
import { defineSaga, readSaga } from '../../publisher/saga/index.ts';
import { createStreamingPullSource, defineJob } from '../../shared/index.ts';
import { createArrivals } from '../../shared/trace/arrivals.ts';
import {
  createDeadLetterKeeper,
  type DeadLetterKeeper,
  type KeptLetter,
  readDeadLetter,
  redriveDeadLetter,
  replyToSaga,
} from '../../subscriber/index.ts';
import { PATIENCE_MS } from '../support/patience.ts';
import { EMBEDDED } from '../support/pubsub-target.ts';
import { createSagaSystem, JOBS, type SagaSystem } from '../support/saga-system.ts';
import { type Stage, startStage } from '../support/stage.ts';

const retry = { maxAttempts: 1, minBackoffMs: 10, maxBackoffMs: 20 };
const payload = z.strictObject({ domain: z.string() });
const setUp = defineJob({ name: 'workspace.set-up', version: 1, topic: JOBS, payload, retry });
const tearDown = defineJob({ name: 'workspace.tear-down', version: 1, topic: JOBS, payload, retry });
const order = defineSaga({ name: 'order', version: 1, input: payload })
  .job('set-up-workspace', {
    job: setUp,
    payload: ({ input }) => input,
    result: z.object({ customer: z.string() }),
    compensate: { job: tearDown, payload: ({ input }) => input },
  })
  .build();

let stage: Stage;
let system: SagaSystem;
let keeper: DeadLetterKeeper;
let isDown = true;
const effects: string[] = [];
const kept: KeptLetter[] = [];
const arrivals = createArrivals(() => JSON.stringify({ effects, kept }));

beforeAll(async () => {
  stage = await startStage(EMBEDDED);
  system = await createSagaSystem(stage, { sagas: [order] });
  const { worker, outbox, db } = system;
  const effect = (what: string) => {
    effects.push(what);
    arrivals.notify();
  };
  worker.handle(
    ...replyToSaga(outbox, setUp, async () => {
      if (isDown) throw new Error('the directory is down');
      effect('set up');
      return { customer: 'c-1' };
    }),
  );
  worker.handle(...replyToSaga(outbox, tearDown, async () => effect('torn down')));
  await system.start();
  keeper = createDeadLetterKeeper({
    database: db.database,
    source: createStreamingPullSource(stage.connection, { subscription: `${JOBS}-dead-letters` }),
    topic: JOBS,
    onKept: (letter) => {
      kept.push(letter);
      arrivals.notify();
    },
  });
  await keeper.start();
});
afterAll(async () => {
  await keeper.stop();
  await system.close();
  await stage.close();
});

test('a step that was undone because its job had died is undone again when the job is redriven', async () => {
  const { database } = system.db;
  const { sagaId } = await system.engine.begin(order, { domain: 'shop.example' }, { orderKey: 'O-1' });
  expect(await system.engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('compensated');
  const [letter] = await arrivals.waitFor(() => kept.length > 0 && kept, { timeoutMs: PATIENCE_MS });
  const letterId = letter?.letterId ?? '';
  expect(await readDeadLetter(database, letterId)).toMatchObject({
    sagaId,
    jobId: `${sagaId}/set-up-workspace`,
  });
  expect(effects).toEqual(['torn down']);

  isDown = false;
  await redriveDeadLetter(database, createMessageOutbox({ database }), { letterId, actor: 'ada' });
  await arrivals.waitFor(() => effects.length >= 3, { timeoutMs: PATIENCE_MS });
  expect(effects).toEqual(['torn down', 'set up', 'torn down']);
  expect(await system.engine.ended(sagaId, { timeoutMs: PATIENCE_MS })).toBe('compensated');
  const kinds = (await readSaga(database, sagaId))?.history.map(({ event }) => event.kind);
  expect(kinds).toEqual(expect.arrayContaining(['failed', 'undone', 'completed-late']));
});
