import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../../../shared/free-port.ts';
import { resolveRival } from './rivals.ts';

export interface RestateServer {
  readonly pid: number;
  readonly ingressUrl: string;
  stop(): Promise<void>;
}

const START_TIMEOUT_MS = 30_000;

/** Restate's server with its own settings and its own store, in a new folder, and our handlers registered with it. */
export async function startRestateServer(rivalsFolder: string, handlersUrl: string): Promise<RestateServer> {
  const folder = await mkdtemp(join(tmpdir(), 'throughline-bench-restate-'));
  const [ingress, admin, node] = [await freePort(), await freePort(), await freePort()];
  const platform = `${process.platform}-${process.arch}`;
  const binary = join(
    resolveRival(rivalsFolder, `@restatedev/restate-server-${platform}/package.json`),
    '../bin/restate-server',
  );
  const child = spawn(binary, ['--no-logo', '--bind-ip', '127.0.0.1', '--listen-mode', 'tcp'], {
    stdio: 'ignore',
    env: {
      ...process.env,
      RESTATE_BASE_DIR: folder,
      RESTATE_BIND_PORT: String(node),
      RESTATE_INGRESS__BIND_PORT: String(ingress),
      RESTATE_ADMIN__BIND_PORT: String(admin),
      RESTATE_LOG_FILTER: 'error',
      RESTATE_DISABLE_TELEMETRY: 'true', // it would report its use to its makers
    },
  });
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()));
  // Whoever ends us ends it too: it would go on for ever.
  process.once('exit', () => child.kill('SIGKILL'));
  const stop = async () => {
    child.kill('SIGKILL');
    await exited;
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await register(`http://127.0.0.1:${admin}/deployments`, handlersUrl);
  } catch (error) {
    await stop();
    throw error;
  }
  return { pid: child.pid ?? 0, ingressUrl: `http://127.0.0.1:${ingress}`, stop };
}

/** Tried until the server is up. */
async function register(adminUrl: string, handlersUrl: string): Promise<void> {
  const givesUpAtMs = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    const problem = await fetch(adminUrl, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ uri: handlersUrl }),
    }).then(
      async (response) => (response.ok ? undefined : `${response.status} ${await response.text()}`),
      (error: unknown) => String(error),
    );
    if (problem === undefined) return;
    if (performance.now() > givesUpAtMs) throw new Error(`Restate's server did not start: ${problem}`);
    await delay(50);
  }
}
