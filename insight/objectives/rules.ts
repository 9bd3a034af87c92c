import type { Objective } from '../../shared/objective.ts';
import { BURN_ALERTS, type BurnAlert, burnFactor, WINDOWS } from './burn.ts';
import { badRatio } from './query.ts';

const RUNBOOK = 'docs/runbooks/error-budget-burning.md';

/** Prometheus' rules for these objectives, as a file: one ratio a window, and an alert for each speed of burning. */
export function rulesFile(objectives: readonly Objective[]): string {
  return [
    '# Generated from orders/objectives.ts by `node scripts/objectives.ts`; a test compares them.',
    'groups:',
    ...objectives.flatMap(group),
    '',
  ].join('\n');
}

function group(objective: Objective): string[] {
  const { name } = objective;
  return [
    `  - name: objective-${name}`,
    '    rules:',
    ...WINDOWS.flatMap((window) => [
      `      - record: ${ratioName(window)}`,
      `        expr: ${quoted(badRatio(objective, window))}`,
      `        labels: { objective: ${name} }`,
    ]),
    ...BURN_ALERTS.flatMap((alert) => alertLines(objective, alert)),
  ];
}

function alertLines({ name, meaning, target }: Objective, alert: BurnAlert): string[] {
  const { severity, budgetPercent, longWindow, shortWindow } = alert;
  const limit = Number((burnFactor(alert) * (1 - target)).toPrecision(6));
  const burning = (window: string) => `${ratioName(window)}{objective="${name}"} > ${limit}`;
  const summary = `${name}: ${budgetPercent} % of this month's error budget went within ${longWindow}, and it goes on. Promised: ${meaning}.`;
  return [
    '      - alert: ErrorBudgetBurning',
    `        expr: ${quoted(`${burning(longWindow)} and ${burning(shortWindow)}`)}`,
    `        labels: { severity: ${severity}, objective: ${name}, window: ${longWindow} }`,
    '        annotations:',
    `          summary: ${quoted(summary)}`,
    `          runbook_url: ${RUNBOOK}`,
  ];
}

/** Under which the share of bad events in a window is recorded. */
export function ratioName(window: string): string {
  return `objective:bad:ratio_rate${window}`;
}

/** As a YAML scalar, in the quotes that a formatter leaves alone. */
function quoted(text: string): string {
  return text.includes('"') ? `'${text.replaceAll("'", "''")}'` : JSON.stringify(text);
}
