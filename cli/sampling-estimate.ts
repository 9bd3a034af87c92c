import type { Command } from 'commander';
import { estimateSampling, type SamplingEstimate, SamplingLoadError } from '../insight/index.ts';
import { UsageError } from './failure.ts';
import { printJson, printTable } from './output.ts';
import { readNumber } from './read-number.ts';

interface EstimateOptions {
  readonly rps: number;
  readonly errorRate: number;
  readonly slowRate: number;
  readonly keep: number;
  readonly traceKb: number;
  readonly json?: boolean;
}

/** `throughline sampling estimate` */
export function addSamplingEstimate(sampling: Command): void {
  sampling
    .command('estimate')
    .description('how many traces, and how much, are left to be stored')
    .requiredOption('--rps <number>', 'orders or requests a second, health checks left out', readNumber)
    .option('--error-rate <share>', 'of them fail, 0 to 1; all are kept', readNumber, 0.005)
    .option(
      '--slow-rate <share>',
      'of them are slow (and do not fail), 0 to 1; all are kept',
      readNumber,
      0.01,
    )
    .option('--keep <share>', 'of the rest is kept, 0 to 1', readNumber, 0.05)
    .option('--trace-kb <number>', 'kilobytes (1,000 bytes) of one trace as it is sent', readNumber, 10)
    .option('--json', 'print one JSON document')
    .addHelpText('after', HELP)
    .action(samplingEstimate);
}

const HELP = `
Needs no database. docs/sampling.md says how large a trace is, and what is kept when.

Examples:
  $ throughline sampling estimate --rps 1000
  $ throughline sampling estimate --rps 1000 --error-rate 0.005 --slow-rate 0.01 --keep 0.05 --trace-kb 10`;

function samplingEstimate({ rps, errorRate, slowRate, keep, traceKb, json = false }: EstimateOptions): void {
  const estimate = estimated({
    requestsPerSecond: rps,
    errorShare: errorRate,
    slowShare: slowRate,
    keep,
    traceBytes: traceKb * 1_000,
  });
  if (json) {
    printJson(estimate);
    return;
  }
  const { byReason, tracesPerSecond, tracesPerDay, gigabytesPerDay, share } = estimate;
  const row = (reason: string, perSecond: number) => {
    const part = tracesPerSecond === 0 ? 0 : perSecond / tracesPerSecond;
    return [reason, rounded(perSecond), rounded(tracesPerDay * part), rounded(gigabytesPerDay * part)];
  };
  printTable(
    ['KEPT', 'TRACES/S', 'TRACES/DAY', 'GB/DAY'],
    [
      row('failed', byReason.error),
      row('slow', byReason.slow),
      row('of the rest', byReason.coin),
      row(`${rounded(share * 100)} % of all`, tracesPerSecond),
    ],
  );
}

/** Errors: UsageError, which names every wrong figure. */
function estimated(load: Parameters<typeof estimateSampling>[0]): SamplingEstimate {
  try {
    return estimateSampling(load);
  } catch (error) {
    if (error instanceof SamplingLoadError)
      throw new UsageError(`sampling estimate: ${error.message}`, { cause: error });
    throw error;
  }
}

/** `64`, `5.55 million`, `0.32` */
function rounded(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} million`;
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return value.toLocaleString('en-US', { maximumFractionDigits: digits });
}
