import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  completed,
  completedLate,
  dispatched,
  failed,
  interrupted,
  operator,
  signalled,
  suspended,
  undoFailed,
  undone,
} from '../../test/support/saga-events.ts';
import { createSagaModel, fold, told } from '../../test/support/saga-model.ts';
import type { SagaEvent } from './event.ts';
import { accepts, apply, initialState, nextCommand, type SagaShape, type SagaState } from './machine.ts';

const NAMES = ['a', 'b', 'c', 'd', 'e'];
const shapes = fc
  .array(
    fc.record({
      kind: fc.constantFrom('function' as const, 'job' as const),
      compensation: fc.constantFrom('skip' as const, 'run' as const, 'job' as const),
    }),
    { minLength: 1, maxLength: NAMES.length },
  )
  .map(
    (steps): SagaShape => ({ steps: steps.map((step, index) => ({ ...step, name: NAMES[index] ?? '' })) }),
  );

/** Any event, most of them impossible at any given moment. */
const anything = fc
  .tuple(
    fc.constantFrom(...NAMES, 'z'),
    fc.integer({ min: 1, max: 3 }),
    fc.boolean(),
    fc.constantFrom('retry' as const, 'skip' as const, 'resolve' as const),
  )
  .chain(([step, attempt, flag, action]) =>
    fc.constantFrom(
      completed(step, attempt),
      failed(step, attempt, { retry: flag }),
      failed(step, attempt, { retry: flag, mayHaveHappened: false }),
      suspended(step, attempt),
      signalled(step, attempt),
      dispatched(step, attempt, flag),
      undone(step, attempt),
      undoFailed(step, attempt, { retry: flag }),
      completedLate(step),
      interrupted(flag ? 'process-lost' : 'shutdown'),
      operator(action),
    ),
  );
const moves = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('goOn' as const), how: fc.nat(9) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('repeat' as const), which: fc.nat() }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('any' as const), event: anything }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('late' as const) }) },
  ),
  { maxLength: 60 },
);

type Move = (typeof moves extends fc.Arbitrary<infer Moves extends readonly unknown[]>
  ? Moves
  : never)[number];

/** What an engine could write after the command; `how` 0 is success. */
function outcome(shape: SagaShape, state: SagaState, how: number): SagaEvent | undefined {
  const command = nextCommand(shape, state);
  if (command.kind === 'end') return undefined;
  if (command.kind === 'rest') return operator(how % 3 === 0 ? 'skip' : how % 3 === 1 ? 'retry' : 'resolve');
  const { name = '', attempt = 1, undo, status } = state.steps[command.index] ?? {};
  const undoAttempt = undo?.attempt ?? 1;
  switch (command.kind) {
    case 'dispatch':
      return how === 9 ? failed(name, attempt, { mayHaveHappened: false }) : dispatched(name, attempt);
    case 'dispatch-undo':
      return how === 9 ? undoFailed(name, undoAttempt) : dispatched(name, undoAttempt, true);
    case 'undo':
      return how < 6 ? undone(name, undoAttempt) : undoFailed(name, undoAttempt, { retry: how < 9 });
    case 'await':
      if (command.undo) return how < 7 ? undone(name, undoAttempt) : undoFailed(name, undoAttempt);
      if (how > 6) return failed(name, attempt);
      return status === 'suspended' ? signalled(name, attempt) : completed(name, attempt);
    default: {
      if (how === 1 && command.kind === 'run') return suspended(name, attempt);
      if (how < 6) return completed(name, attempt);
      return failed(name, attempt, { retry: how < 8, mayHaveHappened: how % 2 === 0 });
    }
  }
}

/** Plays the moves against machine and model at once, and compares them at every event. */
function play(shape: SagaShape, choices: readonly Move[]) {
  const model = createSagaModel(shape);
  const history: SagaEvent[] = [];
  let state = initialState(shape);
  const happen = (event: SagaEvent | undefined) => {
    if (!event) return;
    const before = structuredClone(state);
    const isAccepted = accepts(shape, state, event);
    expect([event, isAccepted]).toEqual([event, model.record(event)]);
    if (isAccepted) {
      state = apply(shape, state, event);
      history.push(event);
    } else expect(state).toEqual(before);
    expect(told(nextCommand(shape, state))).toBe(model.expected());
  };
  for (const move of choices) {
    if (move.kind === 'goOn') happen(outcome(shape, state, move.how));
    if (move.kind === 'repeat') happen(history[move.which % Math.max(1, history.length)]);
    if (move.kind === 'any') happen(move.event);
    if (move.kind === 'late') happen(completedLate(state.failure?.step ?? 'a'));
  }
  return { history, happen, model, state: () => state };
}

const numbered = (event: SagaEvent) =>
  'attempt' in event ? `${event.kind} ${event.step} ${event.attempt} ${'undo' in event && event.undo}` : '';

test('the machine accepts, refuses and commands what the model does (M1 to M6)', () => {
  fc.assert(
    fc.property(shapes, moves, (shape, choices) => void play(shape, choices)),
    { numRuns: 3_000 },
  );
});

test('no attempt ends twice, and none is accepted again (M1, M4)', () => {
  fc.assert(
    fc.property(shapes, moves, (shape, choices) => {
      const { history, state } = play(shape, choices);
      const ends = history.filter(({ kind }) => ['completed', 'failed'].includes(kind)).map(numbered);
      const attempts = ends.map((end) => end.replace(/^\w+ /, ''));
      expect(new Set(attempts).size).toBe(attempts.length);
      const again = history.filter((event) => 'attempt' in event && accepts(shape, state(), event));
      expect(again).toEqual([]);
    }),
    { numRuns: 1_000 },
  );
});

test('no step is commanded once one has failed for good (M3)', () => {
  fc.assert(
    fc.property(shapes, moves, (shape, choices) => {
      const { history } = play(shape, choices);
      const failure = history.findIndex((event) => event.kind === 'failed' && !event.retryAtMs);
      const after = failure < 0 ? [] : history.slice(failure + 1);
      const commands = after.map((_, index) =>
        told(nextCommand(shape, fold(shape, history.slice(0, failure + 2 + index)))),
      );
      expect(commands.filter((command) => /^(run|resume|dispatch) /.test(command))).toEqual([]);
    }),
    { numRuns: 500 },
  );
});

test('replaying the journal, as it is stored, gives the same state and the same command', () => {
  fc.assert(
    fc.property(shapes, moves, (shape, choices) => {
      const { history, state } = play(shape, choices);
      const stored = JSON.parse(JSON.stringify(history)) as SagaEvent[];
      expect(fold(shape, stored)).toEqual(state());
      expect(nextCommand(shape, fold(shape, stored))).toEqual(nextCommand(shape, state()));
    }),
    { numRuns: 1_000 },
  );
});

test('every saga can be driven to its end, with an operator where it is stuck (M2, M6)', () => {
  fc.assert(
    fc.property(shapes, moves, (shape, choices) => {
      const { happen, model, state } = play(shape, choices);
      for (let left = 100; left > 0 && nextCommand(shape, state()).kind !== 'end'; left--)
        happen(outcome(shape, state(), 0));
      expect(nextCommand(shape, state()).kind).toBe('end');
      if (state().phase === 'compensated') expect(model.outstanding()).toEqual([]);
    }),
    { numRuns: 1_000 },
  );
});

test('compensation goes from the last step to the first, and leaves no step out (M2)', () => {
  const plain = shapes.map(({ steps }) => ({
    steps: steps.map((step) => ({ ...step, kind: 'function' as const })),
  }));
  fc.assert(
    fc.property(plain, fc.nat(4), (shape, failing) => {
      const at = failing % shape.steps.length;
      const history = shape.steps.slice(0, at).map(({ name }) => completed(name));
      history.push(failed(shape.steps[at]?.name ?? ''));
      const visited: number[] = [];
      for (let left = 20; left > 0; left--) {
        const state = fold(shape, history);
        const command = nextCommand(shape, state);
        if (command.kind === 'undo' || command.kind === 'dispatch-undo') visited.push(command.index);
        const event = outcome(shape, state, 0);
        if (event) history.push(event);
      }
      const compensable = shape.steps.flatMap(({ compensation }, index) =>
        index <= at && compensation !== 'skip' ? [index] : [],
      );
      expect(visited).toEqual(compensable.reverse());
      expect(fold(shape, history).phase).toBe('compensated');
    }),
    { numRuns: 300 },
  );
});
