import { expect, test } from 'vitest';
import { cancelled, deadLetter, done, isOutcome, retry } from './outcome.ts';

test('each constructor makes an outcome', () => {
  for (const outcome of [done(), retry('later'), deadLetter('never'), cancelled('operator')]) {
    expect(isOutcome(outcome)).toBe(true);
  }
});

test('a retry has a delay of its own only when one is given', () => {
  expect(retry('later')).toEqual({ kind: 'retry', reason: 'later' });
  expect(retry('later', { afterMs: 0 })).toEqual({ kind: 'retry', reason: 'later', afterMs: 0 });
});

test.each([[undefined], [null], [true], ['done'], [{}], [{ kind: 'DONE' }], [[]], [{ kind: ['done'] }]])(
  '%j is no outcome',
  (value) => {
    expect(isOutcome(value)).toBe(false);
  },
);
