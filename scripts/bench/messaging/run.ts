import { fileURLToPath } from 'node:url';
import { type BenchChild, startBenchChild } from '../child.ts';
import type { Assignment, ContenderName, SideResult } from './assignment.ts';
import type { Load } from './contender.ts';

export interface RunResult {
  readonly messagesPerSecond: number;
  readonly cpuMsPer1000: number;
  readonly publishCpuMsPer1000: number;
  readonly latencyP50Ms: number;
  readonly latencyP99Ms: number;
  readonly spans: number;
  readonly peakRssMb: number;
  readonly heapMb: readonly number[];
}

const PROCESS = fileURLToPath(new URL('./process.ts', import.meta.url));
const TIMEOUT_MS = 180_000;
let runs = 0;

/** Runs one contender: a subscriber and a publisher process, fresh topic and subscription. */
export async function runContender(
  contender: ContenderName,
  emulatorHost: string,
  load: Load,
  options: { readonly watchHeap?: boolean } = {},
): Promise<RunResult> {
  runs += 1;
  const name = `bench-${process.pid}-${runs}`;
  const shared = { contender, emulatorHost, names: { topic: name, subscription: name }, load };
  const subscriber = startSide({ ...shared, role: 'subscribe' }, options.watchHeap ? ['--expose-gc'] : []);
  const [ready, warm] = [subscriber.says('ready'), subscriber.says('warm')];
  warm.catch(() => {});
  try {
    await ready;
    const publisher = startSide({ ...shared, role: 'publish' }, []);
    try {
      await warm;
      publisher.tell('go');
      return combine(await publisher.result, await subscriber.result, load);
    } finally {
      await publisher.stop();
    }
  } finally {
    await subscriber.stop();
  }
}

function combine(publish: SideResult, subscribe: SideResult, { messages }: Load): RunResult {
  const perThousand = 1_000 / messages;
  return {
    messagesPerSecond: messages / ((subscribe.endedMs - publish.startedMs) / 1_000),
    cpuMsPer1000: (publish.cpuMs + subscribe.cpuMs) * perThousand,
    publishCpuMsPer1000: publish.cpuMs * perThousand,
    latencyP50Ms: subscribe.latencyP50Ms,
    latencyP99Ms: subscribe.latencyP99Ms,
    spans: publish.spans + subscribe.spans,
    peakRssMb: Math.max(publish.peakRssMb, subscribe.peakRssMb),
    heapMb: subscribe.heapMb,
  };
}

function startSide(assignment: Assignment, flags: readonly string[]): BenchChild<SideResult> {
  const name = `${assignment.contender} ${assignment.role}`;
  return startBenchChild({ main: PROCESS, assignment, name, flags, timeoutMs: TIMEOUT_MS });
}
