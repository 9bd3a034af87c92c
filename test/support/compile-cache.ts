import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { TestProject } from 'vitest/node';

/** What the processes load that tests kill: only one that ends by itself stores what it has compiled. */
const LOADED_BY_SERVICES = ['process', 'order-service-process', 'worker-process'];

/**
 * Gives the run a folder in which its processes keep their compiled code: hundreds of them start, from the same files, and
 * a short command spends more time on reading these than on what it does.
 */
export default async function setUp({ config }: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'throughline-compiled-'));
  process.env['NODE_COMPILE_CACHE'] = folder; // workers inherit it
  const load = LOADED_BY_SERVICES.map((name) => `await import('./orders/${name}.ts');`).join('\n');
  const filled = promisify(execFile)(process.execPath, ['--input-type=module', '--eval', load], {
    cwd: config.root,
  });
  filled.catch(() => {}); // told below
  return async () => {
    await filled;
    await rm(folder, { recursive: true, force: true, maxRetries: 20 }); // the last workers may still write
  };
}
