import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../emulator/main.ts', import.meta.url));

/** An emulator in a process of its own, as it stands beside the services in practice. */
export async function startEmulatorProcess(kind: 'embedded' | 'gcloud') {
  const child = spawn(process.execPath, [MAIN, kind, '--port', '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const host = await new Promise<string>((resolve, reject) => {
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      const [, found] = /PUBSUB_EMULATOR_HOST=(\S+)/.exec(output) ?? [];
      if (found) resolve(found);
    });
    exited.then(() => reject(new Error(`the ${kind} emulator did not start`)));
  });
  return {
    host,
    pid: child.pid ?? 0,
    async stop() {
      child.kill('SIGTERM');
      await exited;
    },
  };
}
