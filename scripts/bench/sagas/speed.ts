import { rotated } from '../rounds.ts';
import { CONTENDERS, type ContenderName, type SagaRun } from './assignment.ts';
import { runContender } from './run.ts';
import { describe, type Stage } from './stage.ts';

export const CONCURRENCIES = [50, 1] as const;

/** By contender, then by concurrency: one run a round. Those of a rival that is left out are empty. */
export type Runs = Record<ContenderName, Record<(typeof CONCURRENCIES)[number], SagaRun[]>>;

/** Every contender at every concurrency, in turn. Errors: what one that is no rival fails with. */
export async function speedRounds(stage: Stage, rounds: number, withRivals: boolean): Promise<Runs> {
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
