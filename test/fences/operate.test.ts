import { beforeEach, expect, onTestFinished, test } from 'vitest';
import {
  addFence,
  FenceExistsError,
  FenceLiftedError,
  liftFence,
  listFences,
  UnknownFenceError,
} from '../../subscriber/index.ts';
import { ADA } from '../support/fence-lab.ts';
import { type GatedDatabase, gateDatabase } from '../support/gated-database.ts';
import { createTestDatabase } from '../support/test-database.ts';

/** What operators do, in the database alone. */
let database: GatedDatabase;
beforeEach(async () => {
  const db = await createTestDatabase();
  onTestFinished(() => db.close());
  database = gateDatabase(db.database);
});

const audits = async () =>
  (
    await database.query<{ action: string }>('SELECT action FROM throughline.operator_action ORDER BY id')
  ).rows.map(({ action }) => action);
const reasonOf = (result: PromiseSettledResult<unknown>): unknown =>
  result.status === 'rejected' ? result.reason : undefined;

test('F2: of operators who add the same fence at once one does; the others are told who', async () => {
  const target = { campaign: 'autumn' };
  const results = await Promise.allSettled(
    ['ada', 'grace', 'mary'].map((actor) =>
      addFence(database, { action: 'cancel', target, actor, reason: 'stop' }),
    ),
  );
  const errors = results.map(reasonOf).filter((error) => error !== undefined);
  expect(errors).toEqual([expect.any(FenceExistsError), expect.any(FenceExistsError)]);
  const [fence, ...more] = await listFences(database);
  expect(more).toEqual([]);
  expect(errors).toMatchObject([{ fence: { id: fence?.id } }, { fence: { actor: fence?.actor } }]);
  expect(await audits()).toEqual(['fence.add']);
});

test('another action, another target, and the same after a lift are fences of their own', async () => {
  const orderKey = 'O-1';
  const { fence } = await addFence(database, { action: 'pause', target: { orderKey }, ...ADA });
  await addFence(database, { action: 'cancel', target: { orderKey }, ...ADA });
  await addFence(database, { action: 'pause', target: { orderKey, job: 'mail.send' }, ...ADA });
  await liftFence(database, { fenceId: fence.id, ...ADA });
  await addFence(database, { action: 'pause', target: { orderKey }, ...ADA });
  expect(await listFences(database)).toHaveLength(3);
  expect(await listFences(database, { includeLifted: true })).toHaveLength(4);
});

test('of operators who lift a fence at once one does; the other is told who', async () => {
  const { fence } = await addFence(database, { action: 'pause', target: { job: 'mail.send' }, ...ADA });
  const results = await Promise.allSettled(
    ['ada', 'grace'].map((actor) => liftFence(database, { fenceId: fence.id, actor, reason: 'well' })),
  );
  const errors = results.map(reasonOf).filter((error) => error !== undefined);
  expect(errors).toEqual([expect.any(FenceLiftedError)]);
  expect(await audits()).toEqual(['fence.add', 'fence.lift']);
});

test.each(['0', '-1', '1.5', 'x', '', '99999999999999999999'])('there is no fence "%s"', async (fenceId) => {
  await expect(liftFence(database, { fenceId, ...ADA })).rejects.toThrow(UnknownFenceError);
});

test('F1: a fence whose audit row could not be written does not stand, and wakes nobody', async () => {
  const refused = database.refuse((text) => text.includes('operator_action'), '53100');
  await expect(addFence(database, { action: 'pause', target: { job: 'a' }, ...ADA })).rejects.toThrow();
  await refused;
  expect(await listFences(database)).toEqual([]);
});

test('what PostgreSQL cannot store is refused as a target, and left out of a reason', async () => {
  const add = (target: object, reason: string) =>
    addFence(database, { action: 'pause', target, actor: 'ada', reason });
  await expect(add({ orderKey: 'O\0' }, 'why')).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
  await expect(add({ orderKey: '' }, 'why')).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
  await expect(add({ orderKey: 'x'.repeat(1_025) }, 'why')).rejects.toMatchObject({
    code: 'OPTIONS_INVALID',
  });
  const long = { orderKey: '券'.repeat(1_024), campaign: '券'.repeat(1_024), job: 'x'.repeat(1_024) };
  const { fence } = await add(long, 'wh\0y');
  expect(fence).toMatchObject({ target: long, reason: 'why' });
});
