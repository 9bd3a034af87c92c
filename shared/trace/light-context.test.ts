import { type Context, createContextKey, ROOT_CONTEXT } from '@opentelemetry/api';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { light } from './light-context.ts';

const keys = ['a', 'b', 'c'].map(createContextKey);

type Change = { readonly key: number; readonly value: number | undefined };
const change: fc.Arbitrary<Change> = fc.record({
  key: fc.nat(2),
  value: fc.option(fc.nat(), { nil: undefined }),
});

function apply(context: Context, { key, value }: Change): Context {
  const symbol = keys[key] as symbol;
  return value === undefined ? context.deleteValue(symbol) : context.setValue(symbol, value);
}

const values = (context: Context) => keys.map((key) => context.getValue(key));

describe('a light context', () => {
  it("holds what the API's own context holds after any changes, however many", () => {
    const property = fc.property(
      fc.array(change, { maxLength: 100 }),
      fc.array(change, { maxLength: 5 }),
      (all, before) => {
        const base = before.reduce(apply, ROOT_CONTEXT);
        expect(values(all.reduce(apply, light(base)))).toEqual(values(all.reduce(apply, base)));
      },
    );
    fc.assert(property);
  });

  it('does not change when a value is set on it', () => {
    const first = light(ROOT_CONTEXT).setValue(keys[0] as symbol, 1);
    first.setValue(keys[0] as symbol, 2);
    first.deleteValue(keys[0] as symbol);
    expect(first.getValue(keys[0] as symbol)).toBe(1);
  });

  it('does not wrap a light one again', () => {
    const once = light(ROOT_CONTEXT);
    expect(light(once)).toBe(once);
  });
});
