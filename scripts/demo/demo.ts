import { readFile } from 'node:fs/promises';
import { type Config, ThroughlineError } from '../../shared/index.ts';
import { type EmulatorKind, type RunningSystem, startSystem } from '../system/system.ts';
import { type BadLine, parseOrderFile } from './order-file.ts';
import { createProgress } from './progress.ts';
import { createPaint, type OrderReport, type RenderOptions, renderReport, toJson } from './report.ts';
import { runOrder } from './run-order.ts';
import { demoScenarios, type Scenario } from './scenario.ts';

export interface DemoOptions {
  /** A file of orders, one JSON object a line, instead of the demo's own. */
  readonly orders?: string;
  readonly emulator?: EmulatorKind;
  readonly json?: boolean;
  /** Show also the spans of database statements, HTTP clients and Express. */
  readonly allSpans?: boolean;
  /** How long an order may take to its end, in seconds. */
  readonly timeout: number;
}

/** The file of orders cannot be used at all. */
export class OrderFileError extends ThroughlineError {
  override readonly name = 'OrderFileError';
  readonly code = 'ORDER_FILE';
}

/**
 * A killed worker's job shall be taken over while somebody watches, and no process takes spans with it that it had not sent:
 * a service in production is more patient.
 */
const DEMO_SETTINGS = {
  OTEL_BSP_SCHEDULE_DELAY: '50',
  THROUGHLINE_SPANS: 'before-commit',
  THROUGHLINE_LEASE_MS: '2000',
  THROUGHLINE_RESEND_AFTER_MS: '2000',
};

/** Where the output is no terminal. */
const DEFAULT_WIDTH = 116;

/** Orders that are under way at once; a long file shall not need as many sockets as it has lines. */
const CONCURRENT_ORDERS = 50;

/** Runs the demo and resolves with the exit code: 0 only if every order ended as it should, connected. */
export async function runDemo(options: DemoOptions, config: Config): Promise<number> {
  const { scenarios, badLines } = await chooseScenarios(options);
  const progress = createProgress();
  const color = Boolean(process.stdout.isTTY) && !config.noColor;
  const width = process.stdout.columns ?? DEFAULT_WIDTH;
  for (const { line, reason } of badLines) progress.notice(`${options.orders}:${line}: ${reason}`);
  if (scenarios.length === 0) throw new OrderFileError(`${options.orders}: no line holds an order`);
  progress.show('starting …');
  const system = await startSystem({
    config: { ...config, projectId: config.projectId ?? `throughline-demo-${runName()}`, logLevel: 'fatal' },
    emulator: options.emulator,
    port: 0,
    env: DEMO_SETTINGS,
    onNotice: progress.notice,
  });
  try {
    if (!options.json) {
      progress.clear();
      console.log(createPaint(color)('dim', `${headline(system)}\n`));
    }
    const reports = await runAll(scenarios, system, options.timeout * 1_000, progress.show);
    progress.clear();
    const ok = reports.every(({ verdict }) => verdict.problems.length === 0) && badLines.length === 0;
    if (options.json) console.log(toJson(reports, { ok, badLines }));
    else printReports(reports, badLines, { color, width, allSpans: options.allSpans ?? false });
    return ok ? 0 : 1;
  } finally {
    await system.stop();
  }
}

async function chooseScenarios({ orders }: DemoOptions) {
  if (orders === undefined) return { scenarios: demoScenarios(runName()), badLines: [] };
  const text = await readFile(orders, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new OrderFileError(`${orders}: cannot be read (${cause.code})`, { cause });
  });
  return parseOrderFile(text);
}

/** Four characters that differ from run to run. */
function runName(): string {
  return Math.floor(Math.random() * 36 ** 4)
    .toString(36)
    .padStart(4, '0');
}

function headline({ emulator, postgres, orderService, worker }: RunningSystem): string {
  const kind = { embedded: 'embedded emulator', gcloud: "Google's emulator", yours: 'your emulator' }[
    emulator.kind
  ];
  const database = postgres.kind === 'embedded' ? 'embedded' : 'yours';
  return `Pub/Sub: ${kind} at ${emulator.host} · PostgreSQL: ${database} · order service: process ${orderService.pid} · worker: process ${worker.pid}`;
}

async function runAll(
  scenarios: readonly Scenario[],
  system: RunningSystem,
  timeoutMs: number,
  show: (text: string) => void,
): Promise<OrderReport[]> {
  const reports: OrderReport[] = [];
  const all = [...scenarios.entries()];
  // A worker is killed when nobody else's job is in its hands.
  const violent = all.filter(([, { killsWorker }]) => killsWorker);
  const queue = all.filter(([, { killsWorker }]) => !killsWorker);
  let finished = 0;
  const showProgress = () => show(`${finished} of ${scenarios.length} orders have come to their end …`);
  const runNext = async (): Promise<void> => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const [index, scenario] = next;
      reports[index] = await runOrder(scenario, system, timeoutMs);
      finished += 1;
      showProgress();
    }
  };
  showProgress();
  await Promise.all(Array.from({ length: CONCURRENT_ORDERS }, runNext));
  queue.push(...violent);
  await runNext();
  return reports;
}

function printReports(
  reports: readonly OrderReport[],
  badLines: readonly BadLine[],
  options: RenderOptions,
): void {
  const { color } = options;
  for (const report of reports) console.log(renderReport(report, options));
  const right = reports.filter(({ verdict }) => verdict.problems.length === 0).length;
  const bad = badLines.length > 0 ? `; ${badLines.length} bad line(s) were left out` : '';
  const sentence = `${right} of ${reports.length} orders are connected and ended as they should${bad}.`;
  console.log(
    createPaint(color)(right === reports.length && badLines.length === 0 ? 'green' : 'red', sentence),
  );
}
