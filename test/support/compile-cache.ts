import { execFile } from 'node:child_process';
import { mkdir, rm } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    /** The folder of the run's compiled code. */
    readonly compileCache: string;
  }
}

/** What the processes load that tests kill: only one that ends by itself stores what it has compiled. */
const LOADED_BY_SERVICES = ['process', 'order-service-process', 'worker-process'];

/**
 * Gives the run a folder in which its processes keep their compiled code: hundreds of them start, from the same files, and
 * a short command spends more time on reading these than on what it does.
 */
export default async function setUp({ config, provide }: TestProject): Promise<() => Promise<void>> {
  const folder = config.env['NODE_COMPILE_CACHE'] ?? ''; // what workers, and their children, have in their environment
  await mkdir(folder, { recursive: true });
  provide('compileCache', folder);
  const cached = `(await import('node:module')).enableCompileCache(${JSON.stringify(folder)});\n`;
  const load = LOADED_BY_SERVICES.map((name) => `await import('./orders/${name}.ts');`).join('\n');
  const filled = promisify(execFile)(process.execPath, ['--input-type=module', '--eval', cached + load], {
    cwd: config.root,
  });
  filled.catch(() => {}); // told below
  return async () => {
    await filled;
    await rm(folder, { recursive: true, force: true, maxRetries: 20 }); // the last workers may still write
  };
}
