import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  operateSaga,
  readSaga,
  SagaActionPendingError,
  SagaNotStuckError,
  type SagaView,
} from '../../publisher/saga/index.ts';
import type { SpanRecord } from '../../testing/index.ts';
import { startTestTelemetry, type TestTelemetry } from '../fakes/telemetry.ts';
import { type FaultyShop, startFaultyShop } from './faulty-shop.ts';

const isFailedUndo = ({ event }: SagaView['history'][number]) => event.kind === 'undo-failed';

describe('operating a stuck saga', () => {
  let shop: FaultyShop;
  let telemetry: TestTelemetry;
  beforeAll(async () => {
    telemetry = startTestTelemetry();
    shop = await startFaultyShop();
  });
  beforeEach(() => {
    shop.faults.clear();
    shop.faults.add('create-contract');
  });
  afterAll(async () => {
    await shop.close();
    await telemetry.stop();
  });

  const spansOf = async (sagaId: string) =>
    (await telemetry.spans()).filter(({ attributes }) => attributes['saga.id'] === sagaId);
  const linksOf = ({ links }: SpanRecord) =>
    links.map(({ spanId, attributes }) => `${attributes['throughline.link.reason']} ${spanId}`);
  const ada = { actor: 'ada', reason: 'ticket 4711' };

  it('writes an audit row that bears the context of the operator', async () => {
    const sagaId = await shop.beginStuck('O-audit');
    const receipt = await operateSaga(shop.db.database, { sagaId, action: 'resolve', ...ada });
    await shop.inState(sagaId, 'resolved');
    const { rows } = await shop.db.database.query(
      'SELECT actor, action, reason, details, carrier FROM throughline.operator_action WHERE target = $1',
      [sagaId],
    );
    expect(rows).toEqual([
      {
        actor: 'ada',
        action: 'saga.resolve',
        reason: 'ticket 4711',
        details: { saga: 'order', version: 1, orderKey: 'O-audit', step: 'create-contract' },
        carrier: expect.objectContaining({
          traceparent: expect.stringContaining(receipt.traceId ?? 'no trace'),
          baggage: `order.event_id=O-audit,saga.id=${sagaId}`,
        }),
      },
    ]);
  });

  it('lets one of two operators at once act, tells the other one, and runs the compensation once', async () => {
    const sagaId = await shop.beginStuck('O-two');
    shop.faults.clear();
    const results = await Promise.allSettled(
      ['ada', 'grace'].map((actor) => operateSaga(shop.db.database, { sagaId, action: 'retry', actor })),
    );
    const refusals = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    expect(refusals).toHaveLength(1);
    // The first order may still wait for the engine, or have been taken up already.
    const [refusal] = refusals;
    expect(refusal instanceof SagaActionPendingError || refusal instanceof SagaNotStuckError).toBe(true);
    await shop.inState(sagaId, 'compensated');
    expect(shop.undoneOf('O-two')).toEqual(['create-contract', 'redeem-card']);
    const { rows } = await shop.db.database.query(
      'SELECT 1 FROM throughline.operator_action WHERE target = $1',
      [sagaId],
    );
    expect(rows).toHaveLength(1);
  });

  it('says who was first while no engine has taken the order up; the next engine takes it', async () => {
    const sagaId = await shop.beginStuck('O-idle');
    await shop.stop();
    shop.faults.clear();
    await operateSaga(shop.db.database, { sagaId, action: 'retry', actor: 'ada' });
    const skip = { sagaId, action: 'skip', actor: 'grace', reason: 'in a hurry' } as const;
    await expect(operateSaga(shop.db.database, skip)).rejects.toThrow(
      `ada has told saga ${sagaId} to retry already; it waits for an engine to take that up`,
    );
    await shop.restart();
    await shop.inState(sagaId, 'compensated');
    expect(shop.undoneOf('O-idle')).toEqual(['create-contract', 'redeem-card']);
  });

  it('wakes an engine that had put the saga away', async () => {
    const sagaId = await shop.beginStuck('O-away');
    await shop.stop();
    await operateSaga(shop.db.database, { sagaId, action: 'resolve', ...ada });
    await shop.restart();
    await shop.inState(sagaId, 'resolved');
  });

  it('refuses a saga that is not stuck, and one that is not there', async () => {
    const sagaId = await shop.beginStuck('O-over');
    await operateSaga(shop.db.database, { sagaId, action: 'resolve', ...ada });
    await shop.inState(sagaId, 'resolved');
    await expect(operateSaga(shop.db.database, { sagaId, action: 'retry', ...ada })).rejects.toMatchObject({
      code: 'SAGA_NOT_STUCK',
      state: 'resolved',
    });
    const nobody = operateSaga(shop.db.database, { sagaId: 'nobody', action: 'retry', ...ada });
    await expect(nobody).rejects.toMatchObject({ code: 'SAGA_UNKNOWN' });
  });

  it('asks for a reason to skip and to resolve, and for an actor always', async () => {
    const options = { sagaId: 'any', action: 'skip', actor: ' ' } as const;
    await expect(operateSaga(shop.db.database, options)).rejects.toMatchObject({
      code: 'SAGA_INPUT_INVALID',
      issues: ['actor: expected the name of who does it', 'reason: expected why'],
    });
  });

  it('links the operator to the saga, and the compensation that follows to the operator', async () => {
    const sagaId = await shop.beginStuck('O-linked');
    shop.faults.clear();
    await operateSaga(shop.db.database, { sagaId, action: 'retry', actor: 'ada' });
    await shop.inState(sagaId, 'compensated');
    const spans = await spansOf(sagaId);
    const saga = spans.find(({ name }) => name === 'saga order');
    const operate = spans.find(({ name }) => name === 'operate saga.retry');
    expect(operate?.attributes).toMatchObject({
      'order.event_id': 'O-linked',
      'saga.step': 'create-contract',
    });
    expect(operate && linksOf(operate)).toEqual([`caused-by ${saga?.spanId}`]);
    const byOperator = spans.filter((span) => linksOf(span).includes(`caused-by ${operate?.spanId}`));
    expect(byOperator.map(({ name, attributes }) => [name, attributes['saga.attempt']])).toEqual([
      ['compensate create-contract', 2],
      ['saga order', undefined],
    ]);
  });

  it('links a compensation that a worker runs to the operator, too', async () => {
    shop.faults.clear();
    const sagaId = await shop.beginStuck('O-job', { viaJob: true });
    await shop.inState(sagaId, 'compensating');
    await shop.answerJob(sagaId, `${sagaId}/set-up/undo`, 'failed');
    await shop.inState(sagaId, 'stuck');
    await operateSaga(shop.db.database, { sagaId, action: 'retry', actor: 'ada' });
    await shop.inState(sagaId, 'compensating');
    await shop.answerJob(sagaId, `${sagaId}/set-up/undo/2`, 'done');
    await shop.inState(sagaId, 'compensated');
    const spans = await spansOf(sagaId);
    const operate = spans.find(({ name }) => name === 'operate saga.retry');
    const compensations = spans.filter(({ name }) => name.startsWith('compensate '));
    expect(
      compensations.map((span) => [
        span.name,
        span.attributes['saga.attempt'],
        linksOf(span).includes(`caused-by ${operate?.spanId}`),
      ]),
    ).toEqual([
      ['compensate set-up', 1, false],
      ['compensate set-up', 2, true],
      ['compensate create-contract', 1, false],
      ['compensate redeem-card', 1, false],
    ]);
  });

  it('keeps every operator in the journal', async () => {
    const sagaId = await shop.beginStuck('O-journal');
    await operateSaga(shop.db.database, { sagaId, action: 'retry', actor: 'ada' });
    const isStuckAgain = ({ history }: SagaView) => history.filter(isFailedUndo).length === 2;
    await shop.until(sagaId, isStuckAgain);
    await operateSaga(shop.db.database, { sagaId, action: 'skip', actor: 'grace', reason: 'by hand' });
    await shop.inState(sagaId, 'compensated');
    const view = await readSaga(shop.db.database, sagaId);
    const operators = view?.history.flatMap(({ event }) => (event.kind === 'operator' ? [event] : []));
    expect(operators?.map(({ actor, action, reason }) => [actor, action, reason])).toEqual([
      ['ada', 'retry', ''],
      ['grace', 'skip', 'by hand'],
    ]);
    expect(shop.undoneOf('O-journal')).toEqual(['redeem-card']);
  });
});
