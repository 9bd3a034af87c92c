import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createFaults, FAULT_KINDS, type Fault } from './faults.ts';

const redeem = { partner: 'card', effect: 'redeem', orderKey: 'O-1' };

test('without faults nothing strikes', () => {
  expect(createFaults(1).strike(redeem)).toEqual({ latencyMs: 0, fault: undefined });
});

describe('a fault', () => {
  test.each<{ what: string; fault: Partial<Fault>; strikes: boolean }>([
    { what: 'of everything', fault: {}, strikes: true },
    { what: 'of the partner', fault: { partner: 'card' }, strikes: true },
    { what: 'of another partner', fault: { partner: 'payment' }, strikes: false },
    { what: 'of another effect', fault: { partner: 'card', effect: 'reactivate' }, strikes: false },
    { what: 'of another order', fault: { orderKey: 'O-2' }, strikes: false },
    { what: 'of this very call', fault: { ...redeem }, strikes: true },
  ])('$what strikes a call: $strikes', ({ fault, strikes }) => {
    const faults = createFaults(1);
    faults.add({ ...fault, kind: 'error' });
    expect(faults.strike(redeem).fault !== undefined).toBe(strikes);
  });

  test('strikes as often as it was meant to, and then no more', () => {
    const faults = createFaults(1);
    faults.add({ kind: 'reset', times: 2 });
    const struck = [1, 2, 3].map(() => faults.strike(redeem).fault?.kind);
    expect(struck).toEqual(['reset', 'reset', undefined]);
  });

  test('makes room for the next one when it is used up', () => {
    const faults = createFaults(1);
    faults.add({ kind: 'lost-answer', times: 1 });
    faults.add({ kind: 'error', times: 1 });
    expect([1, 2].map(() => faults.strike(redeem).fault?.kind)).toEqual(['lost-answer', 'error']);
  });

  test('of latency strikes together with another one', () => {
    const faults = createFaults(1);
    faults.add({ kind: 'latency', latencyMs: 7 });
    faults.add({ kind: 'refuse' });
    expect(faults.strike(redeem)).toMatchObject({ latencyMs: 7, fault: { kind: 'refuse' } });
  });

  test('is forgotten when all are cleared', () => {
    const faults = createFaults(1);
    faults.add({ kind: 'error' });
    faults.clear();
    expect(faults.strike(redeem).fault).toBeUndefined();
  });
});

test('what strikes by chance strikes the same calls for the same seed, whichever order comes first', () => {
  const orderKeys = fc.uniqueArray(fc.stringMatching(/^O-[a-z0-9]{1,8}$/), { minLength: 1, maxLength: 10 });
  const kind = fc.constantFrom(...FAULT_KINDS.filter((each) => each !== 'latency'));
  fc.assert(
    fc.property(
      fc.nat(),
      fc.double({ min: 0, max: 1, noNaN: true }),
      kind,
      orderKeys,
      (seed, rate, k, keys) => {
        const run = (order: readonly string[]) => {
          const faults = createFaults(seed);
          faults.add({ kind: k, rate });
          const struck = order.map((orderKey) => [
            orderKey,
            [1, 2, 3].map(() => faults.strike({ ...redeem, orderKey }).fault !== undefined),
          ]);
          return Object.fromEntries(struck);
        };
        expect(run(keys.toReversed())).toEqual(run(keys));
      },
    ),
  );
});

test('a rate of one half strikes about half of the calls, one of 0 none and one of 1 all', () => {
  const struck = (rate: number) => {
    const faults = createFaults(42);
    faults.add({ kind: 'error', rate });
    const calls = Array.from({ length: 1_000 }, (_, index) => ({ ...redeem, orderKey: `O-${index}` }));
    return calls.filter((call) => faults.strike(call).fault).length;
  };
  expect(struck(0)).toBe(0);
  expect(struck(1)).toBe(1_000);
  expect(struck(0.5)).toBeGreaterThan(400);
  expect(struck(0.5)).toBeLessThan(600);
});
