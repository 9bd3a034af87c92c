import { quantile } from '../statistics.ts';
import type { Load, SagaRun } from './assignment.ts';
import { cpuMsOfTree } from './server-cpu.ts';
import { expected, type Outcome } from './work.ts';

/** One way of running sagas. */
export interface Contender {
  /** Runs one saga to its end, with everything stored that is to be stored. */
  run(saga: number): Promise<Outcome>;
  /** A server of its own, in place of PostgreSQL. */
  readonly serverPid?: number;
  close(): Promise<void>;
}

/** Enough for a median, however slow the contender is. */
const FEWEST = 20;
const MOST_WINDOWS = 10;

/**
 * Keeps as many sagas under way as the load says. What ends within the window is measured; a window in which too little
 * ends is lengthened. Then what is under way is let end.
 *
 * Errors: what a saga fails with.
 */
export async function measure(
  contender: Contender,
  load: Load,
  first: number,
  postgresPid: number,
): Promise<SagaRun> {
  const latencies: number[] = [];
  let next = first;
  let isMeasuring = false;
  let isOver = false;
  const loop = async () => {
    while (!isOver) {
      const saga = next++;
      const startedMs = performance.now();
      const outcome = await contender.run(saga);
      if (outcome !== expected(saga)) throw new Error(`saga ${saga} ended ${outcome}`);
      if (isMeasuring) latencies.push(performance.now() - startedMs);
    }
  };
  const window = async () => {
    await pause(load.warmUpMs);
    isMeasuring = true;
    const meter = startMeter(contender.serverPid ?? postgresPid);
    for (let windows = 0; windows < MOST_WINDOWS && (windows === 0 || latencies.length < FEWEST); windows++)
      await pause(load.measureMs);
    isMeasuring = false;
    isOver = true;
    return meter(latencies);
  };
  const [run] = await Promise.all([window(), ...Array.from({ length: load.concurrency }, loop)]);
  return { ...run, begun: next - first };
}

function startMeter(serverPid: number) {
  const startedMs = performance.now();
  const before = process.cpuUsage();
  const serverBefore = cpuMsOfTree(serverPid);
  return (latencies: readonly number[]) => {
    const { user, system } = process.cpuUsage(before);
    const seconds = (performance.now() - startedMs) / 1_000;
    const sorted = latencies.toSorted((a, b) => a - b);
    return {
      sagasPerSecond: sorted.length / seconds,
      cpuMsPerSaga: (user + system) / 1_000 / sorted.length,
      serverCpuMsPerSaga: (cpuMsOfTree(serverPid) - serverBefore) / sorted.length,
      p50Ms: quantile(sorted, 0.5),
      p99Ms: quantile(sorted, 0.99),
    };
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
