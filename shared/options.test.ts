import { describe, expect, it } from 'vitest';
import { checkNumbers } from './options.ts';

describe('checking numbers among options', () => {
  const ranges = { count: { min: 1, max: 10, whole: true }, waitMs: { min: 0 } };

  it('names every wrong one, with what was expected and what was given', () => {
    const check = () => checkNumbers('createThing', { count: 0, waitMs: Number.NaN }, ranges);
    expect(check).toThrow(
      'createThing: count: expected a whole number from 1 to 10, got 0; waitMs: expected a number of at least 0, got NaN',
    );
  });

  it.each([{ count: 1.5 }, { count: 11 }, { waitMs: -1 }, { waitMs: '7' as unknown as number }])(
    'refuses %o',
    (options) => {
      expect(() => checkNumbers<{ count?: number; waitMs?: number }>('x', options, ranges)).toThrow(
        'expected',
      );
    },
  );

  it('passes what is right and what is not given', () => {
    checkNumbers('x', { count: 10, waitMs: 0 }, ranges);
    checkNumbers<{ count?: number; waitMs?: number }>('x', {}, ranges);
    checkNumbers('x', { count: 1, waitMs: Number.POSITIVE_INFINITY }, ranges);
  });
});
