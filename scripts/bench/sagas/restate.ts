import type { Assignment } from './assignment.ts';
import type { Contender } from './contender.ts';
import { startRestateServer } from './restate-server.ts';
import { importRival } from './rivals.ts';
import { doStep, type Outcome, STEPS, type StepName, undoStep } from './work.ts';

interface RestateContext {
  run<T>(name: string, work: () => Promise<T>): Promise<T>;
}

/** As much of its interface as is used. */
interface Restate {
  readonly TerminalError: new (message: string) => Error;
  service(definition: object): object;
  serve(options: { readonly services: readonly object[]; readonly port: number }): Promise<number>;
}

/** Restate as its documentation shows it: a handler of `ctx.run` blocks, compensations in the `catch`. Without tracing. */
export async function restate({ rivalsFolder }: Assignment): Promise<Contender> {
  process.env['RESTATE_LOGGING'] = 'ERROR'; // else it writes two lines a saga
  const sdk = await importRival<Restate>(rivalsFolder, '@restatedev/restate-sdk');
  const attempt = async (name: StepName, saga: number) => {
    try {
      return await doStep(name, saga);
    } catch (error) {
      throw new sdk.TerminalError(String(error));
    }
  };
  const handler = async (context: RestateContext, saga: number): Promise<Outcome> => {
    const done: StepName[] = [];
    try {
      for (const name of STEPS) {
        await context.run(name, () => attempt(name, saga));
        done.push(name);
      }
      return 'confirmed';
    } catch (error) {
      if (!(error instanceof sdk.TerminalError)) throw error;
      for (const name of done.toReversed()) await context.run(`undo ${name}`, () => undoStep(name, saga));
      return 'compensated';
    }
  };
  const service = sdk.service({ name: 'saga', handlers: { run: handler } });
  const port = await sdk.serve({ services: [service], port: 0 });
  const server = await startRestateServer(rivalsFolder, `http://127.0.0.1:${port}`);
  return {
    run: (saga) => call(`${server.ingressUrl}/saga/run`, saga),
    serverPid: server.pid,
    close: server.stop,
  };
}

async function call(url: string, saga: number): Promise<Outcome> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(saga),
  });
  if (!response.ok) throw new Error(`Restate answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as Outcome;
}
