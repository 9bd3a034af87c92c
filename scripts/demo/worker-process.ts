import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface WorkerProcess {
  readonly pid: number;
  /** Rejects when the worker ends by itself. Never resolves. */
  readonly died: Promise<never>;
  /** SIGTERM, then waits. May be called twice. */
  stop(): Promise<void>;
}

const MAIN = fileURLToPath(new URL('../../orders/worker-main.ts', import.meta.url));
const START_TIMEOUT_MS = 15_000;
const STOP_TIMEOUT_MS = 10_000;
const KEPT_OUTPUT_CHARS = 4_000;

/** Starts the worker as its own process and resolves once it pulls. Errors: what it printed, when it does not start. */
export async function startWorkerProcess(env: NodeJS.ProcessEnv): Promise<WorkerProcess> {
  const child = spawn(process.execPath, [MAIN], { env, stdio: ['ignore', 'inherit', 'pipe', 'ipc'] });
  const output = keepLastOutput(child);
  let stopping = false;
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const died = exited.then(() =>
    stopping ? new Promise<never>(() => {}) : Promise.reject(failure(child, output())),
  );
  died.catch(() => {});
  await Promise.race([ready(child), died]).catch((error) => {
    child.kill('SIGKILL');
    throw error;
  });
  return {
    pid: child.pid ?? 0,
    died,
    async stop() {
      stopping = true;
      child.kill('SIGTERM');
      const hard = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
      await exited;
      clearTimeout(hard);
    },
  };
}

function ready(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(
      () => reject(new Error(`the worker was not ready after ${START_TIMEOUT_MS} ms`)),
      START_TIMEOUT_MS,
    );
    child.once('exit', () => clearTimeout(late));
    child.on('message', (message) => {
      if (message !== 'ready') return;
      clearTimeout(late);
      resolve();
    });
  });
}

function keepLastOutput(child: ChildProcess): () => string {
  let kept = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    kept = (kept + text).slice(-KEPT_OUTPUT_CHARS);
  });
  return () => kept.trim();
}

function failure({ exitCode, signalCode }: ChildProcess, output: string): Error {
  return new Error(
    `the worker process ended (${signalCode ?? `exit code ${exitCode}`})${output && `:\n${output}`}`,
  );
}
