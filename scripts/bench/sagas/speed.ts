import { rotated } from '../rounds.ts';
import { CONTENDERS, type ContenderName, type SagaRun } from './assignment.ts';
import { type RunningContender, startContender } from './run.ts';
import { describe, type Stage } from './stage.ts';

export const CONCURRENCIES = [50, 1] as const;
type Concurrency = (typeof CONCURRENCIES)[number];

/** By contender, then by concurrency: one run a round. Those of a rival that is left out are empty. */
export type Runs = Record<ContenderName, Record<Concurrency, SagaRun[]>>;

/**
 * All contenders' processes stay up and take turns in short windows: a machine that is slow for some seconds slows them
 * all. Errors: what a contender that is no rival fails with.
 */
export async function speedRounds(stage: Stage, rounds: number, withRivals: boolean): Promise<Runs> {
  const { size, onProgress } = stage;
  const runs = Object.fromEntries(CONTENDERS.map((name) => [name, { 50: [], 1: [] }])) as unknown as Runs;
  const contenders = new Map<ContenderName, RunningContender>();
  /** Ours is the benchmark even where rivals cannot be run. */
  const unlessRival = async (name: ContenderName, work: () => Promise<void>) => {
    try {
      await work();
    } catch (error) {
      if (!isRival(name)) throw error;
      onProgress(`${name} is left out: ${String(error)}`);
      runs[name] = { 50: [], 1: [] };
      await contenders.get(name)?.kill();
      contenders.delete(name);
    }
  };
  try {
    for (const name of CONTENDERS.filter((one) => withRivals || !isRival(one)))
      await unlessRival(name, async () => {
        const contender = await start(stage, name);
        contenders.set(name, contender);
        const run = await contender.run({ concurrency: 50, warmUpMs: 0, measureMs: size.speed.compileMs });
        onProgress(`warm-up   ${name.padEnd(12)}  at 50: ${describe(run)}`);
      });
    for (let round = 0; round < rounds; round++) {
      for (const concurrency of CONCURRENCIES) {
        for (const contender of rotated([...contenders.values()], round)) {
          const { name } = contender;
          await unlessRival(name, async () => {
            const run = await contender.run({ concurrency, ...size.speed });
            runs[name][concurrency].push(run);
            onProgress(`round ${round + 1}  ${name.padEnd(12)}  at ${concurrency}: ${describe(run)}`);
          });
        }
      }
    }
    for (const contender of contenders.values()) await unlessRival(contender.name, contender.end);
    return runs;
  } finally {
    await Promise.all([...contenders.values()].map((contender) => contender.kill()));
  }
}

async function start(stage: Stage, contender: ContenderName): Promise<RunningContender> {
  const { databases, receiver, rivalsFolder } = stage;
  const create = contender === 'throughline' ? databases.createMigrated : databases.create;
  const databaseUrl = await create(`bench_${contender}`);
  return startContender({ contender, databaseUrl, postgresPid: databases.pid, rivalsFolder }, receiver);
}

function isRival(name: ContenderName): boolean {
  return name === 'dbos' || name === 'restate';
}
