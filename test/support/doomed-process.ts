import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline/promises';
import { cleanEnvironment, endWithTest, exitOf, ROOT } from './child-process.ts';

export interface DoomedProcess {
  /** Kills it with SIGKILL, and resolves when it is gone. */
  kill(): Promise<void>;
}

/**
 * Starts a script that says one line once it has reached the point at which it is to be killed; `cause` is what brings it
 * there.
 */
export async function startDoomed(
  [script, ...args]: readonly [script: string, ...args: string[]],
  env: Readonly<Record<string, string>>,
  cause: () => Promise<unknown> = async () => {},
): Promise<DoomedProcess> {
  const child = spawn(process.execPath, [script, ...args], {
    cwd: ROOT,
    env: cleanEnvironment(env),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  endWithTest(child);
  const exited = exitOf(child);
  const reached = createInterface(child.stdout)[Symbol.asyncIterator]().next();
  const died = exited.then((code) => {
    throw new Error(`${script} ended with ${code} before it was killed`);
  });
  died.catch(() => {});
  await cause();
  await Promise.race([reached, died]);
  return {
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
