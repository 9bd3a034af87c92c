import type { Command } from 'commander';
import { type ObjectiveReport, reportOf } from '../insight/objectives/budget.ts';
import { BUDGET_HOURS, WINDOWS } from '../insight/objectives/burn.ts';
import { badRatio, eventCount } from '../insight/objectives/query.ts';
import { OBJECTIVES } from '../orders/objectives.ts';
import type { Objective } from '../shared/objective.ts';
import { printJson, printLine, printTable } from './output.ts';
import { createPrometheus, type Prometheus } from './prometheus.ts';
import { readHttpUrl } from './read-http-url.ts';

interface ReportOptions {
  readonly prometheus: string;
  readonly json?: boolean;
}

/** `throughline slo report` */
export function addSloReport(slo: Command): void {
  slo
    .command('report')
    .description('how much of each error budget is left, and how fast it burns')
    .requiredOption(
      '--prometheus <url>',
      "Prometheus' address, for instance http://127.0.0.1:9090",
      readHttpUrl,
    )
    .option('--json', 'print one JSON document')
    .addHelpText('after', HELP)
    .action(sloReport);
}

const HELP = `
The window is 30 days. A burn of 1 uses the budget up in exactly that time; what begins to page is 14.4 within an
hour and 6 within six. Counts are Prometheus' own extrapolations, hence no whole numbers. A dash: there was no event.

Examples:
  $ throughline slo report --prometheus http://127.0.0.1:9090
  $ throughline slo report --prometheus http://127.0.0.1:9090 --json`;

async function sloReport({ prometheus, json = false }: ReportOptions): Promise<void> {
  const source = createPrometheus(prometheus);
  const reports: ObjectiveReport[] = [];
  for (const objective of OBJECTIVES) reports.push(await report(objective, source));
  if (json) return printJson({ windowHours: BUDGET_HOURS, objectives: reports });
  const burns = WINDOWS.map((window) => `BURN ${window}`);
  printTable(
    ['OBJECTIVE', 'TARGET', 'ATTAINED', 'EVENTS', 'BAD', 'BUDGET LEFT', ...burns],
    reports.map(rowOf),
  );
  for (const { name, meaning } of reports) printLine(`${name}: ${meaning}`);
}

async function report(objective: Objective, { number }: Prometheus): Promise<ObjectiveReport> {
  const window = `${BUDGET_HOURS}h`;
  const [goodEvents, totalEvents, ...ratios] = await Promise.all([
    number(eventCount(objective.good, window)),
    number(eventCount(objective.total, window)),
    ...WINDOWS.map((one) => number(badRatio(objective, one))),
  ]);
  const badRatios = Object.fromEntries(WINDOWS.map((one, index) => [one, ratios[index]]));
  return reportOf(objective, { goodEvents, totalEvents, badRatios });
}

function rowOf({ name, target, attained, totalEvents, badEvents, budgetLeft, burn }: ObjectiveReport) {
  const hasEvents = attained !== undefined;
  return [
    name,
    percent(target),
    hasEvents ? percent(attained) : undefined,
    totalEvents.toFixed(0),
    badEvents.toFixed(hasEvents && badEvents < 10 ? 1 : 0),
    hasEvents ? `${(budgetLeft * 100).toFixed(1)} %` : undefined,
    ...WINDOWS.map((window) => burn[window]?.toFixed(1)),
  ];
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(3))} %`;
}
