import { expect, it } from 'vitest';
import { CapacityTargetError, capacityOf, type WorkerFigures } from './capacity.ts';

/** Two workers of 100 slots; 2 ms of CPU and 50 ms of waiting a delivery; one delivery in ten is tried again. */
const FIGURES: WorkerFigures = {
  subscription: 'jobs-worker',
  workers: 2,
  slots: 100,
  sentPerSecond: 400,
  handledPerSecond: 440,
  settledPerSecond: 400,
  processSeconds: 0.05,
  processSecondsAtShare: 0.08,
  cpuSecondsPerSecond: 0.88,
  handledByProcessesPerSecond: 440,
  residentBytes: 120e6,
  runningPeak: 24,
};
const TARGET = { latencySeconds: 0.5, share: 0.95 };

it('says what a delivery costs, and what runs out first', () => {
  const report = capacityOf(FIGURES, TARGET);
  expect(report).toMatchObject({
    handledPerSecondPerWorker: 220,
    deliveriesPerMessage: 1.1,
    growthPerSecond: 0,
    limit: { by: 'cpu' },
    bytesPerDelivery: 5e6,
  });
  expect(report.cpuSecondsPerDelivery).toBeCloseTo(0.002, 12);
  expect(report.limit?.deliveriesPerSecond).toBeCloseTo(500, 9);
  expect(report.utilisation).toBeCloseTo(0.44, 12);
  const slow = capacityOf({ ...FIGURES, slots: 10 }, TARGET);
  expect(slow.limit).toEqual({ by: 'slots', deliveriesPerSecond: 200 });
});

it('plans for a target latency: one worker is enough here, and ten times the messages take nine', () => {
  // One worker: ρ = 0.88, P(wait) = 0.88, ln(0.88 / 0.05) / (500 − 440) = 47.8 ms for CPU; no wait for slots.
  const one = capacityOf(FIGURES, TARGET).plan;
  expect(one).toMatchObject({ kind: 'workers', workers: 1 });
  expect(one?.kind === 'workers' && one.latencySeconds).toBeCloseTo(0.08 + Math.log(0.88 / 0.05) / 60, 9);
  expect(capacityOf(FIGURES, { ...TARGET, latencySeconds: 0.1 }).plan).toMatchObject({ workers: 2 });
  expect(capacityOf(FIGURES, { ...TARGET, perSecond: 4_000 }).plan).toMatchObject({ workers: 9 });
});

it('tells that the queue grows, and that no number of workers makes handling itself quicker', () => {
  expect(capacityOf({ ...FIGURES, sentPerSecond: 450 }, TARGET).growthPerSecond).toBe(50);
  expect(capacityOf(FIGURES, { latencySeconds: 0.05, share: 0.95 }).plan).toEqual({
    kind: 'unreachable',
    processSeconds: 0.08,
  });
});

it('does not plan with a percentile that is beyond what the histogram can tell', () => {
  const slow = { ...FIGURES, processSeconds: 45, processSecondsAtShare: 10 };
  expect(capacityOf(slow, { latencySeconds: 60, share: 0.95 }).plan).toEqual({
    kind: 'unmeasured',
    processSeconds: 10,
  });
  expect(capacityOf(slow, TARGET).plan).toMatchObject({ kind: 'unreachable' });
});

it('knows nothing of a worker that has handled nothing', () => {
  const idle = capacityOf(
    {
      ...FIGURES,
      sentPerSecond: undefined,
      handledPerSecond: 0,
      settledPerSecond: 0,
      processSeconds: undefined,
      processSecondsAtShare: undefined,
      cpuSecondsPerSecond: 0.01,
      handledByProcessesPerSecond: 0,
    },
    TARGET,
  );
  expect(idle).toMatchObject({
    arrivingPerSecond: 0,
    limit: undefined,
    utilisation: undefined,
    plan: undefined,
  });
});

it.each([
  [{ latencySeconds: 0, share: 0.95 }, 'latency: expected seconds above 0'],
  [{ latencySeconds: 1, share: 1 }, 'share: expected a number between 0 and 1, 0.95 for instance'],
  [{ ...TARGET, perSecond: -1 }, 'rate: expected a number of messages a second from 0 on'],
  [{ ...TARGET, perSecond: 1e12 }, 'so many messages would take more than 100000 workers'],
])('refuses %o', (target, message) => {
  expect(() => capacityOf(FIGURES, target)).toThrow(new CapacityTargetError(message));
});
