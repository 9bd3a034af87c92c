import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { defineJob } from '../../shared/job/define.ts';
import { startTestTelemetry, type TestTelemetry } from '../../test/fakes/telemetry.ts';
import { defineSaga, type Saga } from './define.ts';
import type { SagaEvent } from './event.ts';
import { describeProgress } from './progress.ts';
import { skip } from './skip.ts';
import { suspend } from './suspend.ts';
import type { SagaView } from './view.ts';

const tearDown = defineJob({ name: 'tear-down', version: 1, topic: 'jobs', payload: z.object({}) });
const order: Saga = defineSaga({ name: 'order', version: 1, input: z.object({}) })
  .step('verify', { run: async () => 1, compensate: skip('nothing was changed') })
  .step('redeem', { run: async () => 1, compensate: async () => {} })
  .step('pay', {
    run: async () => suspend('3ds', { timeoutMs: 60_000, data: { url: 'https://bank.example' } }),
    signal: { name: '3ds', payload: z.object({}), resume: async () => 1 },
    compensate: async () => {},
  })
  .job('set-up', {
    job: tearDown,
    payload: () => ({}),
    result: z.unknown(),
    compensate: { job: tearDown, payload: () => ({}) },
  })
  .build();

const T0 = Date.UTC(2026, 0, 1);
const at = (second: number) => new Date(T0 + second * 1_000).toISOString();
const traceparent = (span: number) => `00-${'a'.repeat(32)}-${String(span).padStart(16, '0')}-01`;
const attempt = (second: number, span = second) => ({
  span: { traceparent: traceparent(span) },
  startMs: T0 + second * 1_000,
  endMs: T0 + second * 1_000 + 500,
});
const reserved = (second: number) => ({
  name: '',
  kind: 0,
  startMs: T0 + second * 1_000,
  self: { traceparent: traceparent(second) },
  parent: {},
});
const error = { type: 'REFUSED', message: 'the partner refused' };

const completed = (step: string, second: number): SagaEvent => ({
  kind: 'completed',
  step,
  attempt: 1,
  ...attempt(second),
});
const suspended: SagaEvent = {
  kind: 'suspended',
  step: 'pay',
  attempt: 1,
  signal: '3ds',
  data: { url: 'https://bank.example' },
  deadlineMs: T0 + 63_000,
  span: reserved(3),
  atMs: T0 + 3_100,
};
const payFailed: SagaEvent = {
  kind: 'failed',
  step: 'pay',
  attempt: 1,
  error,
  mayHaveHappened: true,
  ...attempt(3),
  waitMs: 400,
};
const undo = (kind: 'undone' | 'undo-failed', step: string, second: number, number = 1): SagaEvent =>
  kind === 'undone'
    ? { kind, step, attempt: number, ...attempt(second) }
    : { kind, step, attempt: number, error, ...attempt(second) };
const operator = (action: 'retry' | 'skip' | 'resolve'): SagaEvent => ({
  kind: 'operator',
  action,
  actor: 'ada',
  reason: `because of ${action}`,
  carrier: {},
  atMs: T0,
});

function viewOf(state: string, ...events: SagaEvent[]): SagaView {
  return {
    sagaId: 's1',
    name: 'order',
    version: 1,
    orderKey: 'O-1',
    state,
    step: undefined,
    reason: undefined,
    parked: undefined,
    startedAt: at(0),
    endedAt: undefined,
    traceId: undefined,
    input: {},
    history: events.map((event) => ({ at: at(0), event })),
  };
}

const statuses = (view: SagaView, definition: Saga | undefined = order) =>
  Object.fromEntries(
    describeProgress(view, definition).steps.map(({ name, status, compensation }) => [
      name,
      `${status}/${compensation.status}`,
    ]),
  );

describe('describeProgress', () => {
  let telemetry: TestTelemetry;
  beforeAll(() => {
    telemetry = startTestTelemetry();
  });
  afterAll(() => telemetry.stop());

  it('shows the first step as running before anything has happened', () => {
    expect(statuses(viewOf('running'))).toEqual({
      verify: 'running/none',
      redeem: 'pending/none',
      pay: 'pending/none',
      'set-up': 'pending/none',
    });
  });

  it('counts attempts, and keeps the last error of a step that is tried again', () => {
    const failed: SagaEvent = {
      kind: 'failed',
      step: 'verify',
      attempt: 1,
      error,
      retryAtMs: T0,
      mayHaveHappened: false,
      ...attempt(1),
    };
    const [verify] = describeProgress(viewOf('running', failed), order).steps;
    expect(verify).toMatchObject({
      status: 'running',
      attempts: 2,
      error,
      startedAt: at(1),
      endedAt: undefined,
    });
    const [again] = describeProgress(
      viewOf('running', failed, { kind: 'completed', step: 'verify', attempt: 2, ...attempt(2) }),
      order,
    ).steps;
    expect(again).toMatchObject({
      status: 'completed',
      attempts: 2,
      error: undefined,
      startedAt: at(1),
      endedAt: at(2.5),
      traceId: 'a'.repeat(32),
      spanId: '0000000000000002',
    });
  });

  it('tells what a suspended saga waits for, and until when', () => {
    const view = viewOf('waiting', completed('verify', 1), completed('redeem', 2), suspended);
    const progress = describeProgress(view, order);
    expect(progress.waitingFor).toEqual({
      step: 'pay',
      signal: '3ds',
      since: at(3.1),
      deadline: at(63),
      data: { url: 'https://bank.example' },
    });
    expect(progress.steps[2]).toMatchObject({
      status: 'waiting',
      attempts: 1,
      startedAt: at(3),
      waitMs: undefined,
    });
  });

  it('waits for nothing once the signal has come', () => {
    const signalled: SagaEvent = {
      kind: 'signalled',
      step: 'pay',
      attempt: 1,
      payload: {},
      carrier: {},
      atMs: T0,
    };
    const view = viewOf('waiting', completed('verify', 1), completed('redeem', 2), suspended, signalled);
    expect(describeProgress(view, order).waitingFor).toBeUndefined();
    expect(statuses(view)).toMatchObject({ pay: 'running/none' });
  });

  const beforeRollback = [completed('verify', 1), completed('redeem', 2), suspended, payFailed];

  it('shows what is compensated now, what will be, and what need not be', () => {
    const view = viewOf('compensating', ...beforeRollback);
    expect(statuses(view)).toEqual({
      verify: 'completed/skipped',
      redeem: 'completed/pending',
      pay: 'failed/running',
      'set-up': 'pending/none',
    });
    const { failure, steps } = describeProgress(view, order);
    expect(failure).toEqual({ step: 'pay', error });
    expect(steps[0]?.compensation).toMatchObject({
      kind: 'skip',
      reason: 'nothing was changed',
      attempts: 0,
    });
    expect(steps[2]).toMatchObject({ waitMs: 400, error, compensation: { kind: 'run', attempts: 1 } });
    expect(steps[3]?.compensation.kind).toBe('job');
  });

  it('shows a stuck compensation with its error, and as running again when an operator said so', () => {
    const stuck = [...beforeRollback, undo('undo-failed', 'pay', 4)];
    expect(statuses(viewOf('stuck', ...stuck))).toMatchObject({
      pay: 'failed/stuck',
      redeem: 'completed/pending',
    });
    const again = describeProgress(viewOf('compensating', ...stuck, operator('retry')), order).steps[2];
    expect(again?.compensation).toMatchObject({ status: 'running', attempts: 2, error, startedAt: at(4) });
    const undone = describeProgress(
      viewOf('compensating', ...stuck, operator('retry'), undo('undone', 'pay', 5, 2)),
      order,
    ).steps[2];
    expect(undone?.compensation).toMatchObject({
      status: 'undone',
      attempts: 2,
      error: undefined,
      endedAt: at(5.5),
      spanId: '0000000000000005',
    });
  });

  it('gives the reason of the operator who skipped a compensation, or resolved the saga', () => {
    const stuck = [...beforeRollback, undo('undo-failed', 'pay', 4)];
    const skipped = describeProgress(viewOf('compensating', ...stuck, operator('skip')), order).steps;
    expect(skipped[2]?.compensation).toMatchObject({ status: 'skipped', reason: 'because of skip', error });
    expect(skipped[1]?.compensation.status).toBe('running');
    const resolved = describeProgress(viewOf('resolved', ...stuck, operator('resolve')), order).steps;
    for (const step of [resolved[1], resolved[2]])
      expect(step?.compensation).toMatchObject({ status: 'skipped', reason: 'because of resolve' });
  });

  it('gives each of two skipped compensations its own reason', () => {
    const events = [
      ...beforeRollback,
      undo('undo-failed', 'pay', 4),
      operator('skip'),
      undo('undo-failed', 'redeem', 5),
    ];
    const second: SagaEvent = { ...operator('skip'), reason: 'the second' } as SagaEvent;
    const { steps } = describeProgress(viewOf('compensated', ...events, second), order);
    expect(steps.map(({ compensation }) => compensation.reason)).toEqual([
      'nothing was changed',
      'the second',
      'because of skip',
      undefined,
    ]);
  });

  it('derives steps from the events alone when this process has no definition', () => {
    const events = [...beforeRollback, undo('undo-failed', 'pay', 4)];
    const { steps, failure } = describeProgress({ ...viewOf('stuck', ...events), step: 'pay' }, undefined);
    expect(
      steps.map(({ name, status, compensation }) => [name, status, compensation.kind, compensation.status]),
    ).toEqual([
      ['verify', 'completed', 'unknown', 'none'],
      ['redeem', 'completed', 'unknown', 'none'],
      ['pay', 'failed', 'run', 'stuck'],
    ]);
    expect(failure).toEqual({ step: 'pay', error });
  });

  it('reads a finished rollback without a definition', () => {
    const view = viewOf(
      'compensated',
      ...beforeRollback,
      undo('undone', 'pay', 4),
      undo('undone', 'redeem', 5),
    );
    expect(describeProgress(view, undefined).steps.map(({ compensation }) => compensation.status)).toEqual([
      'skipped',
      'undone',
      'undone',
    ]);
  });

  it('does without a definition that is another version, or that the history does not fit', () => {
    const view = viewOf('running', completed('verify', 1), completed('redeem', 2));
    expect(Object.keys(statuses({ ...view, version: 2 }))).toEqual(['verify', 'redeem']);
    const foreign = viewOf('running', completed('other', 1), completed('another', 2));
    expect(Object.keys(statuses(foreign))).toEqual(['other', 'another']);
  });
});
