import fc from 'fast-check';
import { expect, it } from 'vitest';
import { erlangC, waitPercentile } from './queueing.ts';

it('agrees with the tables of Erlang C', () => {
  // One server: the share that waits is its utilisation. Others: A. K. Erlang's formula written out.
  expect(erlangC(1, 0.7)).toBeCloseTo(0.7, 12);
  expect(erlangC(2, 1)).toBeCloseTo(1 / 3, 12);
  expect(erlangC(10, 8)).toBeCloseTo(0.409_18, 5);
  expect([erlangC(3, 0), erlangC(3, 3), erlangC(3, 30)]).toEqual([0, 1, 1]);
});

it('knows the wait of a single server, and when nobody waits', () => {
  // M/M/1: P(W > t) = ρ e^(−(μ − λ) t)
  const wait = waitPercentile({ servers: 1, arrivalsPerSecond: 8, serviceSeconds: 0.1 }, 0.95);
  expect(0.8 * Math.exp(-(10 - 8) * wait)).toBeCloseTo(0.05, 12);
  expect(waitPercentile({ servers: 100, arrivalsPerSecond: 8, serviceSeconds: 0.1 }, 0.95)).toBe(0);
  expect(waitPercentile({ servers: 1, arrivalsPerSecond: 10, serviceSeconds: 0.1 }, 0.95)).toBe(
    Number.POSITIVE_INFINITY,
  );
});

it('waits less with each further server, and longer the more arrives', () => {
  const queue = fc.record({
    servers: fc.integer({ min: 1, max: 2_000 }),
    arrivalsPerSecond: fc.double({ min: 0, max: 10_000, noNaN: true }),
    serviceSeconds: fc.double({ min: 1e-6, max: 10, noNaN: true }),
  });
  fc.assert(
    fc.property(queue, fc.double({ min: 0.5, max: 0.999, noNaN: true }), (one, share) => {
      const wait = waitPercentile(one, share);
      expect(wait).toBeGreaterThanOrEqual(0);
      expect(waitPercentile({ ...one, servers: one.servers + 1 }, share)).toBeLessThanOrEqual(wait);
      const busier = waitPercentile({ ...one, arrivalsPerSecond: one.arrivalsPerSecond * 1.1 }, share);
      expect(busier).toBeGreaterThanOrEqual(wait * (1 - 1e-9));
    }),
  );
});

it('takes no longer for a billion servers than for those that are busy', () => {
  expect(erlangC(1e15, 1_000)).toBe(0);
});
