import { describe, expect, test } from 'vitest';
import * as happens from '../../test/support/saga-events.ts';
import { fold, told } from '../../test/support/saga-model.ts';
import type { SagaEvent } from './event.ts';
import { accepts, apply, nextCommand, SagaJournalError, type SagaShape, type SagaState } from './machine.ts';

type StepShape = SagaShape['steps'][number];

const { completed, completedLate, dispatched, failed, interrupted, operator } = happens;
const { signalled, suspended, undone, undoFailed } = happens;

const stepOf = (name: string, kind: StepShape['kind'], compensation: StepShape['compensation']) => ({
  name,
  kind,
  compensation,
});
/** Three functions, each undone by a function. */
const abc: SagaShape = { steps: ['a', 'b', 'c'].map((name) => stepOf(name, 'function', 'run')) };
/** A function, then a job; both are undone, the job by a job. */
const withJob: SagaShape = { steps: [stepOf('a', 'function', 'run'), stepOf('j', 'job', 'job')] };

const next = (shape: SagaShape, ...events: SagaEvent[]) => told(nextCommand(shape, fold(shape, events)));

describe('forward', () => {
  test('runs the steps in order and ends confirmed', () => {
    expect(next(abc)).toBe('run 0');
    expect(next(abc, completed('a'))).toBe('run 1');
    expect(next(abc, completed('a'), completed('b'), completed('c'))).toBe('end confirmed');
    expect(next(withJob, completed('a'))).toBe('dispatch 1');
  });

  test('numbers a further attempt only when the one before it is over (M1)', () => {
    const state = fold(abc, [failed('a', 1, { retry: true })]);
    expect(nextCommand(abc, state)).toEqual({ kind: 'run', index: 0, notBeforeMs: 10 });
    expect(state.steps[0]?.attempt).toBe(2);
    expect(accepts(abc, state, completed('a', 1))).toBe(false);
    expect(accepts(abc, state, completed('a', 2))).toBe(true);
    expect(fold(abc, [interrupted(), interrupted()]).steps[0]?.attempt).toBe(1);
  });

  test('resumes a suspended step with its signal, also when the resume is tried again', () => {
    expect(next(abc, suspended('a'))).toBe('await 0');
    expect(next(abc, suspended('a'), signalled('a'))).toBe('resume 0');
    const state = fold(abc, [suspended('a'), signalled('a'), failed('a', 1, { retry: true })]);
    expect(told(nextCommand(abc, state))).toBe('resume 0');
    expect(state.steps[0]?.waiting?.signal?.payload).toEqual({ approved: true });
  });

  test('counts takeovers since the last progress, and remembers that there was one', () => {
    expect(fold(abc, [interrupted(), interrupted('shutdown'), interrupted()]).takeovers).toBe(2);
    expect(fold(abc, [interrupted(), completed('a')])).toMatchObject({ takeovers: 0, wasTakenOver: true });
    expect(fold(abc, [interrupted('shutdown')]).wasTakenOver).toBe(false);
  });
});

describe('refuses (M4)', () => {
  const cases: [string, SagaShape, SagaEvent[], SagaEvent][] = [
    ['a result that comes twice', abc, [completed('a')], completed('a')],
    ['a result of a later step', abc, [], completed('b')],
    ['a result of an attempt that is over', abc, [failed('a', 1, { retry: true })], completed('a', 1)],
    ['the result of a step that waits for its signal', abc, [suspended('a')], completed('a')],
    ['a further attempt of a step that waits', abc, [suspended('a')], failed('a', 1, { retry: true })],
    ['a second suspension', abc, [suspended('a')], suspended('a')],
    ['a signal before the suspension', abc, [], signalled('a')],
    ['a signal that comes twice', abc, [suspended('a'), signalled('a')], signalled('a')],
    ['a signal after the time-out', abc, [suspended('a'), failed('a')], signalled('a')],
    ['the result of a job that was not dispatched', withJob, [completed('a')], completed('j')],
    ['a job that is dispatched twice', withJob, [completed('a'), dispatched('j')], dispatched('j')],
    ['the dispatch of a function', abc, [], dispatched('a')],
    ['the suspension of a job', withJob, [completed('a')], suspended('j')],
    ['a step once compensation has begun (M3)', abc, [completed('a'), failed('b')], completed('c')],
    ['a step after the end', abc, [completed('a'), completed('b'), completed('c')], completed('c')],
    ['a compensation while all goes well', abc, [completed('a')], undone('a')],
    ['a compensation that comes twice', abc, [completed('a'), failed('b'), undone('b')], undone('b')],
    ['a compensation out of turn', abc, [completed('a'), failed('b')], undone('a')],
    [
      'a compensation of an attempt that is over',
      abc,
      [failed('a'), undoFailed('a', 1, { retry: true })],
      undone('a', 1),
    ],
    [
      'a job compensation that was not dispatched',
      withJob,
      [completed('a'), dispatched('j'), failed('j')],
      undone('j'),
    ],
    ['the dispatch of a compensation that is a function', abc, [failed('a')], dispatched('a', 1, true)],
    ['a late result of a step that did not fail', abc, [completed('a'), failed('b')], completedLate('a')],
    ['a late result that comes twice', abc, [failed('a'), completedLate('a')], completedLate('a')],
    ['an operator whose saga is not stuck', abc, [failed('a')], operator('skip')],
    [
      'an operator who comes second',
      abc,
      [failed('a'), undoFailed('a'), operator('resolve')],
      operator('skip'),
    ],
    ['a step that the definition does not have', abc, [], completed('z')],
  ];
  test.each(cases)('%s', (_, shape, before, event) => {
    const state = fold(shape, before);
    expect(() => apply(shape, state, event)).toThrow(SagaJournalError);
    expect(accepts(shape, state, event)).toBe(false);
    expect(fold(shape, before)).toEqual(state);
  });

  test('accepts() passes other failures on', () => {
    const broken = { steps: undefined } as unknown as SagaState;
    expect(() => accepts(abc, broken, completed('a'))).toThrow(TypeError);
  });
});

describe('compensation', () => {
  test('visits what may have happened, last first (M2)', () => {
    const events = [completed('a'), completed('b'), failed('c')];
    expect(next(abc, ...events)).toBe('undo 2');
    expect(next(abc, ...events, undone('c'))).toBe('undo 1');
    expect(next(abc, ...events, undone('c'), undone('b'))).toBe('undo 0');
    expect(next(abc, ...events, undone('c'), undone('b'), undone('a'))).toBe('end compensated');
  });

  test('leaves out the failed step only when none of its attempts can have happened', () => {
    const noEffect = { mayHaveHappened: false };
    expect(next(abc, completed('a'), failed('b', 1, noEffect))).toBe('undo 0');
    expect(next(abc, failed('a', 1, { retry: true }), failed('a', 2, noEffect))).toBe('undo 0');
    expect(next(abc, failed('a', 1, { retry: true, ...noEffect }), failed('a', 2, noEffect))).toBe(
      'end compensated',
    );
    expect(next(abc, interrupted('shutdown'), failed('a', 1, noEffect))).toBe('undo 0');
  });

  test('a failure names the step and the error', () => {
    expect(fold(abc, [completed('a'), failed('b')]).failure).toEqual({
      step: 'b',
      error: { type: 'BROKEN', message: 'it broke' },
    });
  });

  test('is never held up by a step that need not be undone', () => {
    const skips: SagaShape = { steps: abc.steps.map((step) => ({ ...step, compensation: 'skip' })) };
    expect(next(skips, completed('a'), completed('b'), failed('c'))).toBe('end compensated');
  });

  test('is tried again, then stuck, which is no end (M6)', () => {
    const events = [failed('a'), undoFailed('a', 1, { retry: true })];
    expect(nextCommand(abc, fold(abc, events))).toEqual({ kind: 'undo', index: 0, notBeforeMs: 10 });
    expect(fold(abc, events).steps[0]?.undo).toMatchObject({ attempt: 2, tries: 2 });
    expect(next(abc, ...events, undoFailed('a', 2))).toBe('rest');
  });

  test.each([
    ['retry', 'undo 1'],
    ['skip', 'undo 0'],
    ['resolve', 'end resolved'],
  ] as const)('of a stuck saga goes on as the operator says: %s', (action, command) => {
    const events = [completed('a'), failed('b'), undoFailed('b'), operator(action)];
    expect(next(abc, ...events)).toBe(command);
  });

  test('gets all its tries again when an operator says retry, under new numbers', () => {
    const events = [failed('a'), undoFailed('a', 1, { retry: true }), undoFailed('a', 2), operator('retry')];
    expect(fold(abc, events).steps[0]?.undo).toEqual({ status: 'none', attempt: 3, tries: 1 });
  });
});

describe('a job that finishes after it was given up (M5)', () => {
  const givenUp = [completed('a'), dispatched('j'), failed('j')];

  test('is compensated with its result when that had not begun', () => {
    const state = fold(withJob, [...givenUp, completedLate('j', { id: 7 })]);
    expect(told(nextCommand(withJob, state))).toBe('dispatch-undo 1');
    expect(state.steps[1]).toMatchObject({ status: 'completed', result: { id: 7 } });
  });

  test('is compensated again when it was already, before anything else', () => {
    const undo = [dispatched('j', 1, true), undone('j')];
    expect(next(withJob, ...givenUp, ...undo, completedLate('j'))).toBe('dispatch-undo 1');
    const again = [dispatched('j', 2, true), undone('j', 2)];
    expect(next(withJob, ...givenUp, ...undo, completedLate('j'), ...again)).toBe('undo 0');
  });

  test('is compensated again when its compensation was under way, which knew nothing of it', () => {
    const underWay = [...givenUp, dispatched('j', 1, true), completedLate('j')];
    expect(next(withJob, ...underWay)).toBe('await 1');
    expect(next(withJob, ...underWay, undone('j'))).toBe('dispatch-undo 1');
    expect(next(withJob, ...underWay, undone('j'), dispatched('j', 2, true), undone('j', 2))).toBe('undo 0');
  });

  test('opens a saga again that had ended compensated', () => {
    const ended = [...givenUp, dispatched('j', 1, true), undone('j'), undone('a')];
    expect(next(withJob, ...ended)).toBe('end compensated');
    expect(next(withJob, ...ended, completedLate('j'))).toBe('dispatch-undo 1');
  });

  test('comes first when an operator retries an earlier step', () => {
    const stuckAtA = [...givenUp, dispatched('j', 1, true), undone('j'), undoFailed('a')];
    expect(next(withJob, ...stuckAtA, completedLate('j'))).toBe('rest');
    expect(next(withJob, ...stuckAtA, completedLate('j'), operator('retry'))).toBe('dispatch-undo 1');
  });

  test('stays as it is when an operator dealt with it', () => {
    const skipped = [...givenUp, dispatched('j', 1, true), undoFailed('j'), operator('skip')];
    expect(next(withJob, ...skipped, completedLate('j'))).toBe('undo 0');
    const resolved = [...givenUp, dispatched('j', 1, true), undoFailed('j'), operator('resolve')];
    expect(accepts(withJob, fold(withJob, resolved), completedLate('j'))).toBe(false);
  });
});
