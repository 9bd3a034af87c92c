import type { Objective } from '../../shared/objective.ts';

/** What was asked of Prometheus for one objective. Undefined: there was no event. */
export interface ObjectiveFigures {
  readonly goodEvents: number | undefined;
  readonly totalEvents: number | undefined;
  /** The share of bad events by window. */
  readonly badRatios: Readonly<Record<string, number | undefined>>;
}

export interface ObjectiveReport {
  readonly name: string;
  readonly meaning: string;
  readonly target: number;
  readonly totalEvents: number;
  readonly badEvents: number;
  /** The share of good ones; undefined without events. */
  readonly attained: number | undefined;
  /** The share of the error budget that is left: 1 untouched, 0 used up, below that overdrawn. */
  readonly budgetLeft: number;
  /** By window: how many times as fast as the budget allows; undefined without events. */
  readonly burn: Readonly<Record<string, number | undefined>>;
}

/** What an objective's figures mean for its budget. Counts are Prometheus' extrapolations, hence no whole numbers. */
export function reportOf(objective: Objective, figures: ObjectiveFigures): ObjectiveReport {
  const { name, meaning, target } = objective;
  const { totalEvents = 0, goodEvents = 0, badRatios } = figures;
  const allowed = 1 - target;
  const badEvents = Math.max(0, totalEvents - goodEvents);
  const badShare = totalEvents > 0 ? badEvents / totalEvents : 0;
  const burn = Object.entries(badRatios).map(([window, ratio]) => [
    window,
    ratio === undefined ? undefined : Math.max(0, ratio) / allowed,
  ]);
  return {
    name,
    meaning,
    target,
    totalEvents,
    badEvents,
    attained: totalEvents > 0 ? 1 - badShare : undefined,
    budgetLeft: 1 - badShare / allowed,
    burn: Object.fromEntries(burn),
  };
}
