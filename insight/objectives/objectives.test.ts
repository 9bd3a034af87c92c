import { describe, expect, it } from 'vitest';
import type { Objective } from '../../shared/objective.ts';
import { reportOf } from './budget.ts';
import { BURN_ALERTS, burnFactor } from './burn.ts';
import { badRatio, eventCount, selectorOf } from './query.ts';
import { rulesFile } from './rules.ts';

const objective: Objective = {
  name: 'quick',
  meaning: 'sagas end soon',
  target: 0.99,
  good: { histogram: 'throughline.saga.duration', where: { 'saga.name': 'order' }, withinSeconds: 60 },
  total: { histogram: 'throughline.saga.duration', where: { 'saga.outcome': ['confirmed', 'resolved'] } },
};

describe('queries', () => {
  it('name series as the scrape endpoint does', () => {
    expect(selectorOf(objective.good)).toBe(
      'throughline_saga_duration_bucket{saga_name="order",le=~"60(\\\\.0)?"}',
    );
    expect(selectorOf(objective.total)).toBe(
      'throughline_saga_duration_count{saga_outcome=~"confirmed|resolved"}',
    );
    expect(selectorOf({ counter: 'throughline.sagas.started', where: { 'saga.name': 'order' } })).toBe(
      'throughline_sagas_started_total{saga_name="order"}',
    );
    expect(eventCount(objective.total, '3d')).toBe(`sum(increase(${selectorOf(objective.total)}[3d]))`);
  });

  it('count everything as bad where nothing good was ever counted', () => {
    const all = `sum(rate(${selectorOf(objective.total)}[5m]))`;
    expect(badRatio(objective, '5m')).toBe(
      `1 - (sum(rate(${selectorOf(objective.good)}[5m])) or 0 * ${all}) / ${all}`,
    );
  });
});

it('alerts begin at 14.4, 6 and 1 times the speed that the budget allows', () => {
  expect(BURN_ALERTS.map(burnFactor)).toEqual([14.4, 6, 1]);
  const rules = rulesFile([objective]);
  for (const limit of ['> 0.144 and', '> 0.06 and', '> 0.01 and']) expect(rules).toContain(limit);
});

describe('a report', () => {
  const of = (goodEvents?: number, totalEvents?: number, ratio?: number) =>
    reportOf(objective, { goodEvents, totalEvents, badRatios: { '1h': ratio } });

  it('tells the share of the budget that is left', () => {
    expect(of(995, 1_000, 0.02)).toMatchObject({ badEvents: 5, attained: 0.995 });
    expect(of(995, 1_000, 0.02).burn['1h']).toBeCloseTo(2);
    expect(of(995, 1_000).budgetLeft).toBeCloseTo(0.5);
    expect(of(980, 1_000).budgetLeft).toBeCloseTo(-1);
    expect(of(1_000, 1_000).budgetLeft).toBe(1);
  });

  it('of nothing leaves the budget whole, and claims nothing attained', () => {
    expect(of()).toMatchObject({
      totalEvents: 0,
      attained: undefined,
      budgetLeft: 1,
      burn: { '1h': undefined },
    });
  });

  it('is not better than perfect when Prometheus extrapolates the good ones higher than all', () => {
    expect(of(1_001, 1_000, -0.001)).toMatchObject({
      badEvents: 0,
      attained: 1,
      budgetLeft: 1,
      burn: { '1h': 0 },
    });
  });
});
