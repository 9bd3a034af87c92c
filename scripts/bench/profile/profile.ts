import { fileURLToPath } from 'node:url';
import { startBenchChild } from '../child.ts';
import { startEmulatorProcess } from '../emulator-process.ts';
import type { BenchOptions } from '../options.ts';
import type { BenchResult } from '../report.ts';
import { rotated } from '../rounds.ts';
import { startDatabases } from '../sagas/databases.ts';
import { ratio, summarise } from '../statistics.ts';
import { CONCURRENCY, sizeOf, TIMEOUT_MS } from '../telemetry/windows.ts';
import { type Assignment, MODES, type Mode, type ProfiledRun, type ProfiledWindow } from './assignment.ts';

const PROCESS = fileURLToPath(new URL('./process.ts', import.meta.url));
/** Whole orders through one process, without a profile, while its CPU is profiled, and while its heap is, in turn. */
export async function profile(options: BenchOptions): Promise<BenchResult> {
  const size = sizeOf(options);
  const databases = await startDatabases();
  const emulator = await startEmulatorProcess('embedded');
  const runs: Record<Mode, ProfiledRun[]> = { off: [], cpu: [], heap: [] };
  try {
    const assignment: Assignment = {
      databaseUrl: await databases.createMigrated('bench_profile'),
      emulatorHost: emulator.host,
      concurrency: CONCURRENCY,
    };
    const child = startBenchChild<object>({
      main: PROCESS,
      assignment,
      name: 'profile',
      timeoutMs: TIMEOUT_MS,
    });
    const measure = async (window: ProfiledWindow) => {
      const run = await child.ask<ProfiledRun>(window);
      options.onProgress(
        `${window.mode.padEnd(5)} ${run.ordersPerSecond.toFixed(0)} orders/s, ${run.cpuMsPerOrder.toFixed(2)} ms CPU an order, ${run.cpuUsPerSpan.toFixed(1)} µs a span`,
      );
      return run;
    };
    try {
      await child.says('ready');
      for (const mode of MODES) await measure({ ...size.compile, mode });
      for (let round = 0; round < size.rounds; round++)
        for (const mode of rotated(MODES, round)) runs[mode].push(await measure({ ...size.window, mode }));
      await child.ask('end');
    } finally {
      await child.stop();
    }
  } finally {
    await emulator.stop();
    await databases.close();
  }
  return summary(runs);
}

function summary(runs: Readonly<Record<Mode, readonly ProfiledRun[]>>): BenchResult {
  const of = (mode: Mode, figure: keyof ProfiledRun) => runs[mode].map((run) => run[figure]);
  const figures = MODES.flatMap((mode) => [
    [`${mode}_orders_per_s`, summarise(of(mode, 'ordersPerSecond'))],
    [`${mode}_cpu_ms_per_order`, summarise(of(mode, 'cpuMsPerOrder'))],
    [`${mode}_cpu_us_per_span`, summarise(of(mode, 'cpuUsPerSpan'))],
  ]);
  const ofProfiles = (['cpu', 'heap'] as const).flatMap((mode) => [
    [`${mode}_written_ms`, summarise(of(mode, 'writtenMs'))],
    [`${mode}_file_bytes`, summarise(of(mode, 'fileBytes'))],
    [`${mode}_named_share`, summarise(of(mode, 'namedShare'))],
  ]);
  return {
    bench: 'profile',
    versions: { node: process.version },
    figures: Object.fromEntries([...figures, ...ofProfiles]),
    ratios: {
      throughput_cpu_profile_vs_off: ratio(of('cpu', 'ordersPerSecond'), of('off', 'ordersPerSecond')),
      throughput_heap_profile_vs_off: ratio(of('heap', 'ordersPerSecond'), of('off', 'ordersPerSecond')),
      cpu_cpu_profile_vs_off: ratio(of('cpu', 'cpuMsPerOrder'), of('off', 'cpuMsPerOrder')),
      cpu_heap_profile_vs_off: ratio(of('heap', 'cpuMsPerOrder'), of('off', 'cpuMsPerOrder')),
      span_cpu_profile_vs_off: ratio(of('cpu', 'cpuUsPerSpan'), of('off', 'cpuUsPerSpan')),
      span_heap_profile_vs_off: ratio(of('heap', 'cpuUsPerSpan'), of('off', 'cpuUsPerSpan')),
    },
    notes: [
      'Measured: whole orders through one process, the same one in every window; spans are recorded, and sent to nobody.',
      'A span: 20,000 that do nothing, one after the other, while nothing else goes on.',
      'A heap profile takes one of the CPU besides, for the names. `written` is from the end of a profile to its file, after the window.',
      'Not measured: profiles of minutes, and processes with other work than orders.',
    ],
  };
}
