import { type Command, Option } from 'commander';
import type { TraceSizes } from '../console/otlp-size.ts';
import { estimateSampling, type SamplingEstimate, SamplingLoadError } from '../insight/index.ts';
import { UsageError } from './failure.ts';
import { printJson, printLine, printTable } from './output.ts';
import { readHttpUrl } from './read-http-url.ts';
import { readNumber } from './read-number.ts';
import { measureStoredTraces } from './stored-traces.ts';

const DEFAULT_TRACE_KB = 10;

interface EstimateOptions {
  readonly rps: number;
  readonly errorRate: number;
  readonly slowRate: number;
  readonly keep: number;
  readonly traceKb?: number;
  readonly store?: string;
  readonly service: string;
  readonly traces: number;
  readonly sinceHours: number;
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
    .option(
      '--trace-kb <number>',
      'kilobytes (1,000 bytes) of one trace as it is sent; default 10',
      readNumber,
    )
    .addOption(
      new Option('--store <url>', 'measure it instead: the address of a Jaeger that has traces')
        .argParser(readHttpUrl)
        .conflicts('traceKb'),
    )
    .option('--service <name>', 'whose traces are measured there', 'order-service')
    .option('--traces <number>', 'of how many, the newest', readNumber, 200)
    .option('--since-hours <number>', 'of how long back', readNumber, 1)
    .option('--json', 'print one JSON document')
    .addHelpText('after', HELP)
    .action(samplingEstimate);
}

const HELP = `
Needs no database. docs/sampling.md says how large a trace is, and what is kept when. With --store, let the store have
everything of that time: one that samples has more of what failed or was slow, which is larger.

Examples:
  $ throughline sampling estimate --rps 1000
  $ throughline sampling estimate --rps 1000 --error-rate 0.005 --slow-rate 0.01 --keep 0.05 --trace-kb 10
  $ throughline sampling estimate --rps 1000 --store http://127.0.0.1:16686 --service order-service`;

async function samplingEstimate(options: EstimateOptions): Promise<void> {
  const { rps, errorRate, slowRate, keep, json = false } = options;
  const stored = options.store === undefined ? undefined : await measured(options, options.store);
  const traceBytes = stored ? stored.bytes / stored.traces : (options.traceKb ?? DEFAULT_TRACE_KB) * 1_000;
  const estimate = estimated({
    requestsPerSecond: rps,
    errorShare: errorRate,
    slowShare: slowRate,
    keep,
    traceBytes,
  });
  if (json) {
    printJson({ ...estimate, traceBytes, ...(stored && { measured: stored }) });
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
  if (stored)
    printLine(
      `A trace has ${rounded(traceBytes / 1_000)} KB and ${rounded(stored.spans / stored.traces)} spans: ${stored.traces} traces of ${options.service}, measured.`,
    );
}

/** Errors: TraceStoreError; UsageError when nothing is there to be measured. */
async function measured({ service, traces, sinceHours }: EstimateOptions, url: string): Promise<TraceSizes> {
  const problems = [
    ...(Number.isInteger(traces) && traces > 0 ? [] : ['traces: expected a whole number above 0']),
    ...(sinceHours > 0 ? [] : ['since hours: expected a number above 0']),
  ];
  if (problems.length > 0) throw new UsageError(`sampling estimate: ${problems.join('; ')}`);
  const sinceMs = Date.now() - sinceHours * 3_600_000;
  const sizes = await measureStoredTraces({ url, service, sinceMs, limit: traces });
  if (sizes.traces > 0) return sizes;
  throw new UsageError(
    `sampling estimate: ${url} has no trace of service "${service}" in the last ${sinceHours} h; say --service, --since-hours or --trace-kb`,
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
