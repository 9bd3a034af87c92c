import { createRequire } from 'node:module';
import { startEmulatorProcess } from '../emulator-process.ts';
import type { BenchOptions } from '../options.ts';
import type { BenchResult } from '../report.ts';
import { rotated } from '../rounds.ts';
import { ratio, type Summary, summarise } from '../statistics.ts';
import { CONTENDERS, type ContenderName } from './assignment.ts';
import { type RunResult, runContender } from './run.ts';

/**
 * Throughline against Google's client: without tracing with its default settings, without tracing and tuned, and with the
 * client's own tracing. Publisher and subscriber are two processes, the emulator a third.
 *
 * Each round runs every contender twice: as fast as it goes (messages per second, CPU of both client processes), and paced
 * at a rate that all can keep (end-to-end latency).
 */
export async function messaging(options: BenchOptions): Promise<BenchResult> {
  const size = options.quick
    ? { warmUp: 500, burst: 2_000, paced: 200, pace: 400, rounds: 1, memory: 4_000 }
    : { warmUp: 20_000, burst: 50_000, paced: 1_500, pace: 500, rounds: 5, memory: 200_000 };
  const { warmUp } = size;
  const rounds = options.rounds ?? size.rounds;
  const emulator = await startEmulatorProcess(options.emulator);
  try {
    const bursts = emptyRuns();
    const paced = emptyRuns();
    for (let round = 0; round < rounds; round++) {
      for (const name of rotated(CONTENDERS, round)) {
        const burst = await runContender(name, emulator.host, {
          warmUp,
          messages: size.burst,
          pacePerSecond: 0,
        });
        const calm = await runContender(name, emulator.host, {
          warmUp,
          messages: size.paced,
          pacePerSecond: size.pace,
        });
        bursts[name].push(burst);
        paced[name].push(calm);
        options.onProgress(progressLine(round, name, burst, calm));
      }
    }
    const load = { warmUp, messages: size.memory, pacePerSecond: 0 };
    const long = await runContender('throughline', emulator.host, load, { watchHeap: true });
    return summary(options, bursts, paced, long, size.memory);
  } finally {
    await emulator.stop();
  }
}

type Runs = Record<ContenderName, RunResult[]>;

function emptyRuns(): Runs {
  return Object.fromEntries(CONTENDERS.map((name): [string, RunResult[]] => [name, []])) as Runs;
}

function progressLine(round: number, name: string, burst: RunResult, calm: RunResult): string {
  const speed = `${Math.round(burst.messagesPerSecond)} messages/s`;
  const cpu = `${burst.cpuMsPer1000.toFixed(0)} ms CPU per 1,000 (${burst.publishCpuMsPer1000.toFixed(0)} to publish)`;
  const latency = `p50 ${calm.latencyP50Ms.toFixed(1)} ms, p99 ${calm.latencyP99Ms.toFixed(1)} ms`;
  return `round ${round + 1}  ${name.padEnd(18)}  ${speed}, ${cpu}, ${latency}, ${burst.spans} spans`;
}

function summary(
  options: BenchOptions,
  bursts: Runs,
  paced: Runs,
  long: RunResult,
  longMessages: number,
): BenchResult {
  const figures: Record<string, Summary> = {};
  for (const name of CONTENDERS) {
    figures[`${name}_messages_per_s`] = summarise(bursts[name].map((run) => run.messagesPerSecond));
    figures[`${name}_cpu_ms_per_1000`] = summarise(bursts[name].map((run) => run.cpuMsPer1000));
    figures[`${name}_latency_p50_ms`] = summarise(paced[name].map((run) => run.latencyP50Ms));
    figures[`${name}_latency_p99_ms`] = summarise(paced[name].map((run) => run.latencyP99Ms));
  }
  figures['heap_mb_over_the_long_run'] = summarise(long.heapMb);
  const speed = (name: ContenderName) => bursts[name].map((run) => run.messagesPerSecond);
  const cpu = (name: ContenderName) => bursts[name].map((run) => run.cpuMsPer1000);
  const p50 = (name: ContenderName) => paced[name].map((run) => run.latencyP50Ms);
  return {
    bench: 'messaging',
    versions: { node: process.version, '@google-cloud/pubsub': clientVersion(), emulator: options.emulator },
    figures,
    ratios: {
      throughput_vs_raw_default: ratio(speed('throughline'), speed('raw_default')),
      throughput_vs_raw_tuned: ratio(speed('throughline'), speed('raw_tuned')),
      throughput_vs_client_tracing: ratio(speed('throughline'), speed('client_tracing')),
      cpu_vs_client_tracing: ratio(cpu('throughline'), cpu('client_tracing')),
      cpu_vs_raw_tuned: ratio(cpu('throughline'), cpu('raw_tuned')),
      latency_p50_vs_raw_tuned: ratio(p50('throughline'), p50('raw_tuned')),
      heap_end_vs_start: summarise([(long.heapMb.at(-1) ?? Number.NaN) / (long.heapMb[0] ?? Number.NaN)]),
    },
    notes: [
      'Measured: publisher and subscriber processes from the first publish to the last handled message, and their CPU.',
      "Not measured: the emulator's own CPU, the network, start-up. throughline_client pulls through Google's hand-written client.",
      `Heap of the subscriber after a collection, over ${longMessages.toLocaleString('en-US')} messages in one run.`,
    ],
  };
}

function clientVersion(): string {
  return (createRequire(import.meta.url)('@google-cloud/pubsub/package.json') as { version: string }).version;
}
