import { fileURLToPath } from 'node:url';
import { startBenchChild } from '../child.ts';
import { startEmulatorProcess } from '../emulator-process.ts';
import type { RelayAssignment, RelayRole, RelaySide } from './relay-process.ts';
import type { Stage } from './stage.ts';

const PROCESS = fileURLToPath(new URL('./relay-process.ts', import.meta.url));
const TIMEOUT_MS = 180_000;

export interface RelayRun {
  /** From the start of the relay, with every row committed, to the last job that a worker handled. */
  readonly jobsPerSecond: number;
  readonly relayCpuMsPer1000: number;
  readonly workerCpuMsPer1000: number;
}

/** Committed rows of the outbox → relay → Pub/Sub emulator → worker with inbox, four processes and PostgreSQL. */
export async function relayRounds(stage: Stage, rounds: number): Promise<readonly RelayRun[]> {
  const emulator = await startEmulatorProcess('embedded');
  try {
    const runs: RelayRun[] = [];
    for (let round = 0; round < rounds; round++) {
      const run = await relayRound(stage, emulator.host, `bench-${process.pid}-${round}`);
      runs.push(run);
      const cpu = `${run.relayCpuMsPer1000.toFixed(0)} ms CPU of the relay and ${run.workerCpuMsPer1000.toFixed(0)} of the worker per 1,000`;
      stage.onProgress(`round ${round + 1}  relay: ${run.jobsPerSecond.toFixed(0)} jobs/s, ${cpu}`);
    }
    return runs;
  } finally {
    await emulator.stop();
  }
}

async function relayRound(stage: Stage, emulatorHost: string, topic: string): Promise<RelayRun> {
  const { databases, receiver, size } = stage;
  const databaseUrl = await databases.createMigrated('bench_relay');
  const shared = {
    databaseUrl,
    emulatorHost,
    topic,
    otlpEndpoint: receiver.endpointOf('relay'),
    ...size.relay,
  };
  const start = (role: RelayRole) =>
    startBenchChild<RelaySide>({
      main: PROCESS,
      assignment: { ...shared, role } satisfies RelayAssignment,
      name: `the ${role}`,
      timeoutMs: TIMEOUT_MS,
    });
  const worker = start('worker');
  const relay = start('relay');
  const warm = worker.says('warm');
  warm.catch(() => {});
  try {
    await Promise.all([worker.says('ready'), relay.says('ready')]);
    relay.tell('warm up');
    await warm;
    await relay.says('filled');
    relay.tell('go');
    const end = await worker.result;
    relay.tell('stop');
    const begin = await relay.result;
    const seconds = (end.atMs - begin.atMs) / 1_000;
    return {
      jobsPerSecond: size.relay.jobs / seconds,
      relayCpuMsPer1000: (begin.cpuMs * 1_000) / size.relay.jobs,
      workerCpuMsPer1000: (end.cpuMs * 1_000) / size.relay.jobs,
    };
  } finally {
    await Promise.all([worker.stop(), relay.stop()]);
    await databases.drop('bench_relay');
  }
}
