/** The window of an objective and its error budget, in hours: 30 days. */
export const BUDGET_HOURS = 720;

/**
 * When a budget burns fast enough to tell somebody: a share of it was used up in the long window, and the short one says
 * that it still goes on.
 *
 * Source: Google, The Site Reliability Workbook, chapter 5, "Multiwindow, Multi-Burn-Rate Alerts".
 */
export interface BurnAlert {
  readonly severity: 'page' | 'ticket';
  /** Of the budget, in percent. */
  readonly budgetPercent: number;
  readonly longWindow: string;
  readonly longHours: number;
  readonly shortWindow: string;
}

export const BURN_ALERTS: readonly BurnAlert[] = [
  { severity: 'page', budgetPercent: 2, longWindow: '1h', longHours: 1, shortWindow: '5m' },
  { severity: 'page', budgetPercent: 5, longWindow: '6h', longHours: 6, shortWindow: '30m' },
  { severity: 'ticket', budgetPercent: 10, longWindow: '3d', longHours: 72, shortWindow: '6h' },
];

/** How many times as fast as would use the budget up exactly in 30 days: 14.4, 6 and 1. */
export function burnFactor({ budgetPercent, longHours }: BurnAlert): number {
  return Number(((budgetPercent / 100) * (BUDGET_HOURS / longHours)).toPrecision(6));
}

/** Every window, the shortest first, each once. */
export const WINDOWS: readonly string[] = ['5m', '30m', '1h', '6h', '3d'];
