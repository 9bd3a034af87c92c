import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
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
  const flags = options.watchHeap ? ['--expose-gc'] : [];
  const subscriber = startSide({ ...shared, role: 'subscribe' }, flags);
  try {
    await subscriber.ready;
    const publisher = startSide({ ...shared, role: 'publish' }, []);
    try {
      await subscriber.warm;
      publisher.child.send('go');
      return combine(await publisher.result, await subscriber.result, load);
    } finally {
      publisher.child.kill('SIGKILL');
    }
  } finally {
    subscriber.child.kill('SIGKILL');
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

interface Side {
  readonly child: ChildProcess;
  readonly ready: Promise<void>;
  /** The subscriber has handled the warm-up. */
  readonly warm: Promise<void>;
  readonly result: Promise<SideResult>;
}

function startSide(assignment: Assignment, flags: readonly string[]): Side {
  const child = spawn(process.execPath, [...flags, PROCESS, JSON.stringify(assignment)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    timeout: TIMEOUT_MS,
  });
  const { contender, role } = assignment;
  const ended = new Promise<never>((_resolve, reject) => {
    child.once('exit', (code, signal) => reject(new Error(`${contender} ${role} ended: ${signal ?? code}`)));
  });
  ended.catch(() => {});
  const says = (word: string) =>
    Promise.race([ended, message(child, (said) => said === word)]).then(() => {});
  const [ready, warm] = [says('ready'), says('warm')];
  for (const awaited of [ready, warm]) awaited.catch(() => {});
  const result = Promise.race([
    ended,
    message(child, (said) => typeof said === 'object'),
  ]) as Promise<SideResult>;
  result.catch(() => {});
  return { child, ready, warm, result };
}

function message(child: ChildProcess, isWanted: (said: unknown) => boolean): Promise<unknown> {
  return new Promise((resolve) => {
    child.on('message', (said) => {
      if (isWanted(said)) resolve(said);
    });
  });
}
