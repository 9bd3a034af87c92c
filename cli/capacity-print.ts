import type { CapacityReport, WorkerFigures } from '../insight/capacity/capacity.ts';
import { humaniseMs } from '../insight/duration.ts';
import { printLine } from './output.ts';

/** Jobs of the outbox; growth in jobs a second. Undefined: nobody knows. */
export interface OutboxFigures {
  readonly unsent: number | undefined;
  readonly unfinished: number | undefined;
  readonly unsentGrowth: number | undefined;
  readonly unfinishedGrowth: number | undefined;
}

interface Wanted {
  /** In s. */
  readonly latency: number;
  /** 0 to 100. */
  readonly percentile: number;
}

export const HEADINGS = [
  'SUBSCRIPTION',
  'WORKERS',
  'ARRIVING/S',
  'PER WORKER/S',
  'CPU',
  'MEMORY',
  'HANDLING',
  'GROWTH/S',
  'USED',
  'NEEDED',
];

export function rowOf(report: CapacityReport) {
  const { plan, utilisation } = report;
  return [
    report.subscription,
    report.workers,
    amount(report.arrivingPerSecond),
    amount(report.handledPerSecondPerWorker),
    time(report.cpuSecondsPerDelivery),
    report.bytesPerDelivery === undefined ? undefined : megabytes(report.bytesPerDelivery),
    time(report.processSeconds),
    signed(report.growthPerSecond),
    utilisation === undefined ? undefined : percent(utilisation),
    plan?.kind === 'workers' ? plan.workers : undefined,
  ];
}

/** With this run's numbers in it, so that it can be checked by hand. */
export function printFormula(report: CapacityReport, figures: WorkerFigures, wanted: Wanted): void {
  printLine(`\n${report.subscription}`);
  for (const line of formula(report, figures, wanted)) printLine(`  ${line}`);
}

function formula(report: CapacityReport, figures: WorkerFigures, wanted: Wanted): string[] {
  const { limit, plan, slots, cpuSecondsPerDelivery: cpu, processSeconds, bytesPerDelivery } = report;
  if (!limit || !plan) return ['has handled nothing in this window'];
  const deliveries = `${amount(report.deliveriesPerMessage)} ${report.deliveriesPerMessage === 1 ? 'delivery' : 'deliveries'}`;
  const lines: string[] = [];
  const { cpuSecondsPerSecond, handledByProcessesPerSecond, residentBytes = 0, runningPeak } = figures;
  if (cpu !== undefined)
    lines.push(
      `CPU a delivery     ${amount(cpuSecondsPerSecond)} CPU s/s ÷ ${amount(handledByProcessesPerSecond)} deliveries/s = ${time(cpu)}`,
    );
  if (bytesPerDelivery !== undefined)
    lines.push(
      `memory a delivery  ${megabytes(residentBytes)} resident ÷ ${amount(runningPeak)} at once at the peak = ${megabytes(bytesPerDelivery)}`,
    );
  const { sentPerSecond = figures.settledPerSecond, settledPerSecond } = figures;
  return [
    ...lines,
    `a worker's limit   min(1 ÷ ${time(cpu)} CPU, ${slots} slots ÷ ${time(processSeconds)}) = ${amount(limit.deliveriesPerSecond)} deliveries/s, by ${limit.by === 'cpu' ? 'CPU' : 'its slots'}`,
    `growth             ${amount(sentPerSecond)} sent/s − ${amount(settledPerSecond)} settled/s = ${signed(report.growthPerSecond)}/s`,
    `planned for        ${amount(report.arrivingPerSecond)} messages/s × ${deliveries}, ${wanted.percentile} % within ${time(wanted.latency)}`,
    `needed             ${needed(plan)}`,
  ];
}

function needed(plan: NonNullable<CapacityReport['plan']>): string {
  switch (plan.kind) {
    case 'workers': {
      const workers = `${plan.workers} ${plan.workers === 1 ? 'worker' : 'workers'}`;
      return `${workers}, ${percent(plan.utilisation)} used: wait for CPU + wait for a slot + handling ≤ ${time(plan.latencySeconds)}`;
    }
    case 'unreachable':
      return `no number of workers: handling alone takes ${time(plan.processSeconds)}`;
    case 'unmeasured':
      return `nobody knows: handling takes ${time(plan.processSeconds)} or longer, and no histogram tells how much longer`;
  }
}

export function printOutbox({ unsent, unfinished, unsentGrowth, unfinishedGrowth }: OutboxFigures): void {
  printLine(
    `\nOutbox: ${amount(unsent)} jobs unsent (${signed(unsentGrowth)}/s), ${amount(unfinished)} sent and not known to be finished (${signed(unfinishedGrowth)}/s).`,
  );
}

function time(seconds: number | undefined): string {
  return seconds === undefined ? '-' : humaniseMs(seconds * 1_000);
}

function amount(value: number | undefined): string {
  if (value === undefined) return '-';
  return value.toLocaleString('en-US', { maximumFractionDigits: Math.abs(value) >= 100 ? 0 : 2 });
}

function signed(value: number | undefined): string {
  return value !== undefined && value > 0 ? `+${amount(value)}` : amount(value);
}

function megabytes(bytes: number): string {
  return `${amount(bytes / 1e6)} MB`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
