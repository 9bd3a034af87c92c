import { fileURLToPath } from 'node:url';
import { type BenchChild, startBenchChild } from '../child.ts';
import { startEmulatorProcess } from '../emulator-process.ts';
import type { BenchOptions } from '../options.ts';
import type { BenchResult } from '../report.ts';
import { rotated } from '../rounds.ts';
import { startDatabases } from '../sagas/databases.ts';
import { startSpanReceiver } from '../sagas/span-receiver.ts';
import { ratio, summarise } from '../statistics.ts';
import { type Assignment, MODES, type Mode, type Window, type WindowRun } from './assignment.ts';
import { startBadReceivers } from './bad-receivers.ts';
import { CONCURRENCY, sizeOf, TIMEOUT_MS } from './windows.ts';

const PROCESS = fileURLToPath(new URL('./process.ts', import.meta.url));
/**
 * Whole orders (request, saga, relay, worker, answer) without telemetry, with all of it, at 5 %, and with all of it for a receiver
 * that is no good, side by side.
 */
export async function telemetry(options: BenchOptions): Promise<BenchResult> {
  const size = sizeOf(options);
  const databases = await startDatabases();
  const emulator = await startEmulatorProcess('embedded');
  const receiver = await startSpanReceiver();
  const bad = await startBadReceivers();
  const children = new Map<Mode, BenchChild<object>>();
  const runs: Record<Mode, WindowRun[]> = {
    off: [],
    full: [],
    sampled: [],
    dead: [],
    slow: [],
    nonsense: [],
  };
  const told: Record<string, { readonly spans: number; readonly bytes: number; readonly orders: number }> =
    {};
  const measure = async (mode: Mode, window: Window) => {
    const run = await (children.get(mode) as BenchChild<object>).ask<WindowRun>(window);
    options.onProgress(
      `${mode.padEnd(8)} ${run.ordersPerSecond.toFixed(0)} orders/s, ${run.cpuMsPerOrder.toFixed(2)} ms CPU an order`,
    );
    return run;
  };
  try {
    for (const mode of MODES) {
      const assignment: Assignment = {
        mode,
        databaseUrl: await databases.createMigrated(`bench_telemetry_${mode}`),
        emulatorHost: emulator.host,
        otlpEndpoint: mode in bad ? bad[mode as 'dead'] : receiver.endpointOf(mode),
        concurrency: CONCURRENCY,
      };
      const child = startBenchChild<object>({ main: PROCESS, assignment, name: mode, timeoutMs: TIMEOUT_MS });
      children.set(mode, child);
      await child.says('ready');
      await measure(mode, size.compile);
    }
    for (let round = 0; round < size.rounds; round++)
      for (const mode of rotated(MODES, round)) runs[mode].push(await measure(mode, size.window));
    for (const [mode, child] of children) {
      const { orders } = await child.ask<{ readonly orders: number }>('end');
      told[mode] = { ...(await receiver.measure(mode)), orders };
    }
  } finally {
    await Promise.all([...children.values()].map((child) => child.stop()));
    await Promise.all([receiver.stop(), bad.stop()]);
    await emulator.stop();
    await databases.close();
  }
  return summary(runs, told);
}

function summary(
  runs: Readonly<Record<Mode, readonly WindowRun[]>>,
  told: Readonly<Record<string, { readonly spans: number; readonly bytes: number; readonly orders: number }>>,
): BenchResult {
  const speed = (mode: Mode) => runs[mode].map(({ ordersPerSecond }) => ordersPerSecond);
  const cpu = (mode: Mode) => runs[mode].map(({ cpuMsPerOrder }) => cpuMsPerOrder);
  const perOrder = (mode: Mode, part: 'spans' | 'bytes') => {
    const { orders = 0, [part]: amount = 0 } = told[mode] ?? {};
    return summarise([amount / orders]);
  };
  return {
    bench: 'telemetry',
    versions: { node: process.version },
    figures: {
      ...Object.fromEntries(
        MODES.flatMap((mode) => [
          [`${mode}_orders_per_s`, summarise(speed(mode))],
          [`${mode}_cpu_ms_per_order`, summarise(cpu(mode))],
        ]),
      ),
      full_spans_per_order: perOrder('full', 'spans'),
      full_bytes_per_order: perOrder('full', 'bytes'),
      sampled_spans_per_order: perOrder('sampled', 'spans'),
      sampled_bytes_per_order: perOrder('sampled', 'bytes'),
    },
    ratios: {
      throughput_full_vs_off: ratio(speed('full'), speed('off')),
      throughput_sampled_vs_off: ratio(speed('sampled'), speed('off')),
      throughput_dead_vs_full: ratio(speed('dead'), speed('full')),
      throughput_slow_vs_full: ratio(speed('slow'), speed('full')),
      throughput_nonsense_vs_full: ratio(speed('nonsense'), speed('full')),
      cpu_full_vs_off: ratio(cpu('full'), cpu('off')),
      cpu_sampled_vs_off: ratio(cpu('sampled'), cpu('off')),
    },
    notes: [
      'Measured: whole orders through one process that is order service, relay and worker, with the steps of their partners left empty: what telemetry adds is at its largest.',
      'Not measured: HTTP and PostgreSQL instrumentation, the CPU of PostgreSQL, of the emulator and of who receives the spans; they share the cores.',
      'dead: nobody listens at the endpoint; slow: who does never answers; nonsense: 502 and a page of HTML. All three record every span, as full does, and lose it.',
      'Bytes are those of the spans over OTLP, before compression.',
    ],
  };
}
