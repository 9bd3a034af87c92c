import { type Command, InvalidArgumentError } from 'commander';
import {
  type CapacityReport,
  CapacityTargetError,
  capacityOf,
  type WorkerFigures,
} from '../insight/capacity/capacity.ts';
import {
  capacityQueries,
  outboxQueries,
  SUBSCRIPTION_LABEL,
  TOPIC_LABEL,
} from '../insight/capacity/queries.ts';
import { HEADINGS, type OutboxFigures, printFormula, printOutbox, rowOf } from './capacity-print.ts';
import { UsageError } from './failure.ts';
import { printJson, printTable } from './output.ts';
import { createPrometheus, type Prometheus, type Series } from './prometheus.ts';
import { readHttpUrl } from './read-http-url.ts';
import { readNumber } from './read-number.ts';

interface CapacityOptions {
  readonly prometheus: string;
  readonly window: string;
  readonly latency: number;
  readonly percentile: number;
  readonly rate?: number;
  readonly subscription?: string;
  readonly json?: boolean;
}

/** `throughline capacity` */
export function addCapacity(program: Command): void {
  program
    .command('capacity')
    .description('what a message costs, what the workers can do, and how many it takes')
    .requiredOption(
      '--prometheus <url>',
      "Prometheus' address, for instance http://127.0.0.1:9090",
      readHttpUrl,
    )
    .option(
      '--window <time>',
      'how far back to look, as Prometheus writes it: 30s, 10m, 2h',
      readWindow,
      '10m',
    )
    .option('--latency <seconds>', 'from arrival to the end of handling, in s', readNumber, 2)
    .option('--percentile <number>', 'of the deliveries are to be within it, 0 to 100', readNumber, 95)
    .option(
      '--rate <number>',
      'plan for so many messages a second; without it for what arrives now',
      readNumber,
    )
    .option('--subscription <name>', 'only this one')
    .option('--json', 'print one JSON document')
    .addHelpText('after', HELP)
    .action(capacity);
}

const HELP = `
CPU and memory are those of the whole process, with whatever it does besides. docs/scale.md has the formula, and what is
not in it: messages with one ordering key wait for each other.

Examples:
  $ throughline capacity --prometheus http://127.0.0.1:9090
  $ throughline capacity --prometheus http://127.0.0.1:9090 --rate 2000 --latency 0.5 --percentile 99`;

async function capacity(options: CapacityOptions): Promise<void> {
  const { prometheus, window, latency, percentile, rate, subscription, json = false } = options;
  const target = { latencySeconds: latency, share: percentile / 100, perSecond: rate };
  const source = createPrometheus(prometheus);
  const figures = (await readFigures(source, window, target.share)).filter(
    (one) => subscription === undefined || one.subscription === subscription,
  );
  if (figures.length === 0) throw new UsageError(nothingThere(subscription, prometheus));
  const reports = figures.map((one) => reportOf(one, target));
  const outbox = await readOutbox(source, window);
  if (json) return printJson({ window, latencySeconds: latency, percentile, subscriptions: reports, outbox });
  printTable(HEADINGS, reports.map(rowOf));
  for (const [index, report] of reports.entries())
    printFormula(report, figures[index] as WorkerFigures, { latency, percentile });
  printOutbox(outbox);
}

function nothingThere(subscription: string | undefined, url: string): string {
  const what = subscription === undefined ? 'no worker' : `no worker of subscription "${subscription}"`;
  return `capacity: ${url} knows ${what}; is it one that scrapes them (docs/metrics.md)?`;
}

/** Errors: UsageError, when the target makes no sense. */
function reportOf(figures: WorkerFigures, target: Parameters<typeof capacityOf>[1]): CapacityReport {
  try {
    return capacityOf(figures, target);
  } catch (error) {
    if (error instanceof CapacityTargetError)
      throw new UsageError(`capacity: ${error.message}`, { cause: error });
    throw error;
  }
}

async function readFigures({ series }: Prometheus, window: string, share: number): Promise<WorkerFigures[]> {
  const queries = Object.entries(capacityQueries(window, share));
  const answers = await Promise.all(queries.map(([, query]) => series(query)));
  const found = Object.fromEntries(queries.map(([name], index) => [name, answers[index] ?? []])) as Record<
    keyof ReturnType<typeof capacityQueries>,
    readonly Series[]
  >;
  const topics = new Map(
    found.handledPerSecond.map(({ labels }) => [labels[SUBSCRIPTION_LABEL], labels[TOPIC_LABEL]]),
  );
  return found.workers
    .map(({ labels }) => labels[SUBSCRIPTION_LABEL] ?? '')
    .toSorted()
    .map((subscription) => {
      const of = (name: keyof typeof found) =>
        found[name].find(({ labels }) => labels[SUBSCRIPTION_LABEL] === subscription)?.value;
      const topic = topics.get(subscription);
      return {
        subscription,
        workers: of('workers') ?? 0,
        slots: of('slots') ?? 0,
        sentPerSecond: found.sentPerSecond.find(({ labels }) => labels[TOPIC_LABEL] === topic)?.value,
        handledPerSecond: of('handledPerSecond') ?? 0,
        settledPerSecond: of('settledPerSecond') ?? 0,
        processSeconds: of('processSeconds'),
        processSecondsAtShare: of('processSecondsAtShare'),
        cpuSecondsPerSecond: of('cpuSecondsPerSecond'),
        handledByProcessesPerSecond: of('handledByProcessesPerSecond'),
        residentBytes: of('residentBytes'),
        runningPeak: of('runningPeak'),
      };
    });
}

async function readOutbox({ number }: Prometheus, window: string): Promise<OutboxFigures> {
  const queries = outboxQueries(window);
  const [unsent, unfinished, unsentGrowth, unfinishedGrowth] = await Promise.all([
    number(queries.unsent),
    number(queries.unfinished),
    number(queries.unsentGrowth),
    number(queries.unfinishedGrowth),
  ]);
  return { unsent, unfinished, unsentGrowth, unfinishedGrowth };
}

function readWindow(text: string): string {
  if (/^[1-9][0-9]{0,5}[smhd]$/.test(text)) return text;
  throw new InvalidArgumentError('It must be a time such as 30s, 10m or 2h.');
}
