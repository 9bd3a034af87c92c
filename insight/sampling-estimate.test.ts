import fc from 'fast-check';
import { expect, test } from 'vitest';
import { estimateSampling, SamplingLoadError } from './sampling-estimate.ts';

const LOAD = {
  requestsPerSecond: 1_000,
  errorShare: 0.005,
  slowShare: 0.01,
  keep: 0.05,
  traceBytes: 10_000,
};

test('a thousand requests a second at 5 % are 64 traces a second, 5.5 million and 55 GB a day', () => {
  const estimate = estimateSampling(LOAD);
  expect(estimate.byReason).toEqual({ error: 5, slow: 10, coin: expect.closeTo(49.25) });
  expect(estimate.tracesPerSecond).toBeCloseTo(64.25);
  expect(estimate.tracesPerDay).toBeCloseTo(5_551_200);
  expect(estimate.gigabytesPerDay).toBeCloseTo(55.512);
  expect(estimate.share).toBeCloseTo(0.06425);
});

test('never more is kept than there is, and never less than what failed or was slow', () => {
  const share = fc.double({ min: 0, max: 0.5, noNaN: true });
  const load = fc.record({
    requestsPerSecond: fc.double({ min: 0, max: 1e6, noNaN: true }),
    errorShare: share,
    slowShare: share,
    keep: fc.double({ min: 0, max: 1, noNaN: true }),
    traceBytes: fc.constant(1),
  });
  fc.assert(
    fc.property(load, (one) => {
      const { tracesPerSecond } = estimateSampling(one);
      const slack = 1e-9 * one.requestsPerSecond + Number.MIN_VALUE;
      expect(tracesPerSecond).toBeLessThanOrEqual(one.requestsPerSecond + slack);
      const due = one.requestsPerSecond * (one.errorShare + one.slowShare);
      expect(tracesPerSecond).toBeGreaterThanOrEqual(due - slack);
    }),
  );
});

test('every wrong figure is named at once', () => {
  const wrong = { requestsPerSecond: -1, errorShare: 0.7, slowShare: 0.4, keep: Number.NaN, traceBytes: 0 };
  expect(() => estimateSampling(wrong)).toThrow(SamplingLoadError);
  try {
    estimateSampling(wrong);
  } catch (error) {
    expect((error as SamplingLoadError).problems).toEqual([
      expect.stringContaining('requests per second'),
      expect.stringContaining('keep'),
      expect.stringContaining('error rate and slow rate'),
      expect.stringContaining('trace size'),
    ]);
  }
});
