import { type ChildProcess, spawn } from 'node:child_process';
import { createArrivals } from '../../shared/trace/arrivals.ts';
import { cleanEnvironment, endWithTest, exitOf, ROOT } from './child-process.ts';

export interface OrderWorkerProcess {
  readonly pid: number;
  /** The exit code; null when a signal ended it. */
  readonly exited: Promise<number | null>;
  signal(signal: NodeJS.Signals): void;
  /** Resolves when the process has logged this message. */
  logged(message: string): Promise<void>;
}

const TIMEOUT_MS = 20_000;

/** Starts the reference system's worker as it is, as its own process; resolves once it pulls. Ends with the test. */
export async function startOrderWorker(env: Readonly<Record<string, string>>): Promise<OrderWorkerProcess> {
  const child = spawn(process.execPath, ['orders/worker-main.ts'], {
    cwd: ROOT,
    env: cleanEnvironment({ LOG_LEVEL: 'info', OTEL_BSP_SCHEDULE_DELAY: '50', ...env }),
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  endWithTest(child);
  const exited = exitOf(child);
  const { text, arrivals } = collectLog(child);
  const logged = async (message: string) => {
    const line = `"msg":${JSON.stringify(message)}`;
    await arrivals.waitFor(() => text().includes(line), { timeoutMs: TIMEOUT_MS });
  };
  const died = exited.then((code) => {
    throw new Error(`the worker ended with ${code} before it was ready:\n${text()}`);
  });
  await Promise.race([logged('worker started'), died]);
  died.catch(() => {});
  return { pid: child.pid ?? 0, exited, signal: (signal) => void child.kill(signal), logged };
}

function collectLog(child: ChildProcess) {
  let text = '';
  const arrivals = createArrivals(() => text);
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
    arrivals.notify();
  });
  return { text: () => text, arrivals };
}
