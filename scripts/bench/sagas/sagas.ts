import type { BenchOptions } from '../options.ts';
import type { BenchResult } from '../report.ts';
import { rotated } from '../rounds.ts';
import { CONTENDERS, type ContenderName, type SagaRun } from './assignment.ts';
import { type Databases, startDatabases } from './databases.ts';
import { type FlatRuns, flatRounds } from './flat.ts';
import { type RelayRun, relayRounds } from './relay.ts';
import { installRivals } from './rivals.ts';
import { runContender } from './run.ts';
import { fullSize, quickSize, type Size } from './size.ts';
import { type SpanReceiver, startSpanReceiver } from './span-receiver.ts';
import { summary } from './summary.ts';

export const CONCURRENCIES = [50, 1] as const;

/** By contender, then by concurrency: one run a round. */
export type Runs = Record<ContenderName, Record<(typeof CONCURRENCIES)[number], SagaRun[]>>;

/**
 * Throughline with every span recorded and exported, against DBOS, Restate and two hand-written loops: the same saga for
 * all (work.ts), on one PostgreSQL with `synchronous_commit` on. Then the relay, and what finished sagas cost.
 */
export async function sagas(options: BenchOptions): Promise<BenchResult> {
  const size = options.quick ? quickSize : fullSize;
  const rounds = options.rounds ?? size.rounds;
  const rivals = options.rivals ? await installRivals(size.installMs) : { folder: '', missing: 'not wanted' };
  if (rivals.missing) options.onProgress(`DBOS and Restate are left out: ${rivals.missing}`);
  const databases = await startDatabases();
  const receiver = await startSpanReceiver();
  try {
    const stage = { databases, receiver, rivalsFolder: rivals.folder, size, onProgress: options.onProgress };
    const runs = await speedRounds(stage, rounds, rivals.missing === undefined);
    const flat = await flatRounds(stage, rounds);
    const relay = await relayRounds(stage, rounds);
    return summary({ runs, flat, relay, missing: rivals.missing });
  } finally {
    await receiver.stop();
    await databases.close();
  }
}

/** What the parts of the benchmark share. */
export interface Stage {
  readonly databases: Databases;
  readonly receiver: SpanReceiver;
  readonly rivalsFolder: string;
  readonly size: Size;
  readonly onProgress: (text: string) => void;
}

export type { FlatRuns, RelayRun };

async function speedRounds(stage: Stage, rounds: number, withRivals: boolean): Promise<Runs> {
  const { databases, size, onProgress } = stage;
  const contenders = CONTENDERS.filter((name) => withRivals || !isRival(name));
  const urls = new Map<ContenderName, string>();
  for (const name of contenders) {
    const create = name === 'throughline' ? databases.createMigrated : databases.create;
    urls.set(name, await create(`bench_${name}`));
  }
  const runs = Object.fromEntries(CONTENDERS.map((name) => [name, { 50: [], 1: [] }])) as unknown as Runs;
  const broken = new Set<ContenderName>();
  for (let round = 0; round < rounds; round++) {
    for (const concurrency of CONCURRENCIES) {
      for (const contender of rotated(contenders, round)) {
        if (broken.has(contender)) continue;
        const assignment = {
          contender,
          databaseUrl: urls.get(contender) ?? '',
          postgresPid: databases.pid,
          rivalsFolder: stage.rivalsFolder,
          load: { concurrency, ...size.speed },
        };
        try {
          const run = await runContender(assignment, stage.receiver);
          runs[contender][concurrency].push(run);
          onProgress(`round ${round + 1}  ${contender.padEnd(12)}  at ${concurrency}: ${describe(run)}`);
        } catch (error) {
          if (!isRival(contender)) throw error;
          broken.add(contender);
          runs[contender] = { 50: [], 1: [] };
          onProgress(`${contender} is left out: ${String(error)}`);
        }
      }
    }
  }
  return runs;
}

/** Ours is the benchmark even where they cannot be run. */
function isRival(name: ContenderName): boolean {
  return name === 'dbos' || name === 'restate';
}

export function describe(run: SagaRun): string {
  const cpu = `${run.cpuMsPerSaga.toFixed(2)} ms CPU and ${run.serverCpuMsPerSaga.toFixed(2)} of the server a saga`;
  return `${run.sagasPerSecond.toFixed(0)} sagas/s, ${cpu}, p50 ${run.p50Ms.toFixed(1)} ms, p99 ${run.p99Ms.toFixed(1)} ms`;
}
