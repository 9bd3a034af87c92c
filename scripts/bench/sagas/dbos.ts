import type { Assignment } from './assignment.ts';
import type { Contender } from './contender.ts';
import { importRival } from './rivals.ts';
import { doStep, type Outcome, STEPS, undoStep } from './work.ts';

/** As much of its interface as is used. */
interface Dbos {
  setConfig(config: object): void;
  registerWorkflow<T>(workflow: (saga: number) => Promise<T>, options: object): (saga: number) => Promise<T>;
  runStep<T>(step: () => Promise<T>, options: { readonly name: string }): Promise<T>;
  launch(): Promise<void>;
  shutdown(): Promise<void>;
}

/** More than its default of 10, with which 50 sagas wait for each other. */
const CONNECTIONS = 20;

/** DBOS as its documentation shows it: a workflow of steps, compensations in the `catch`. Without tracing. */
export async function dbos({ databaseUrl, rivalsFolder }: Assignment): Promise<Contender> {
  const { DBOS } = await importRival<{ DBOS: Dbos }>(rivalsFolder, '@dbos-inc/dbos-sdk');
  DBOS.setConfig({
    name: 'bench',
    systemDatabaseUrl: databaseUrl,
    systemDatabasePoolSize: CONNECTIONS,
    logLevel: 'error',
  });
  const workflow = async (saga: number): Promise<Outcome> => {
    const done: (typeof STEPS)[number][] = [];
    try {
      for (const name of STEPS) {
        await DBOS.runStep(() => doStep(name, saga), { name });
        done.push(name);
      }
      return 'confirmed';
    } catch {
      for (const name of done.toReversed())
        await DBOS.runStep(() => undoStep(name, saga), { name: `undo ${name}` });
      return 'compensated';
    }
  };
  const run = DBOS.registerWorkflow(workflow, { name: 'saga' });
  await DBOS.launch();
  return { run: (saga) => run(saga), close: () => DBOS.shutdown() };
}
