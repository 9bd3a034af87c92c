import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** Installed by the bench, for nobody but itself. */
export const RIVALS = {
  '@dbos-inc/dbos-sdk': '5.3.0',
  '@restatedev/restate-sdk': '1.17.2',
  '@restatedev/restate-server': '1.7.12',
} as const;

export interface Rivals {
  readonly folder: string;
  /** Why there are none. */
  readonly missing?: string;
}

/** Installs the rivals into a folder of their own, once for these versions. Errors: none; it says why they are missing. */
export async function installRivals(timeoutMs: number): Promise<Rivals> {
  const contents = JSON.stringify({ private: true, dependencies: RIVALS });
  const version = createHash('sha256').update(contents).digest('hex').slice(0, 12);
  const folder = join(tmpdir(), `throughline-bench-rivals-${version}`);
  const marker = join(folder, 'installed');
  if (existsSync(marker)) return { folder };
  try {
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'package.json'), contents);
    await npmInstall(folder, timeoutMs);
    await writeFile(marker, '');
    return { folder };
  } catch (error) {
    return { folder, missing: error instanceof Error ? error.message : String(error) };
  }
}

async function npmInstall(folder: string, timeoutMs: number): Promise<void> {
  const flags = [
    'install',
    '--prefix',
    folder,
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--no-package-lock',
  ];
  const npm = process.env['npm_execpath'];
  const [command, ...args] = npm?.endsWith('.js') ? [process.execPath, npm, ...flags] : ['npm', ...flags];
  const child = spawn(command, args, {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: timeoutMs,
  });
  let output = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output = (output + text).slice(-2_000);
  });
  const how = await new Promise<string | undefined>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => {
      if (signal) resolve(`npm install took longer than ${timeoutMs / 1_000} s`);
      else resolve(code === 0 ? undefined : `npm install failed (${code}): ${output.trim().split('\n')[0]}`);
    });
  });
  if (how !== undefined) throw new Error(how);
}

/** Path of a file in the rivals' folder. Errors: MODULE_NOT_FOUND. */
export function resolveRival(folder: string, name: string): string {
  return createRequire(join(folder, 'package.json')).resolve(name);
}

export async function importRival<Module>(folder: string, name: string): Promise<Module> {
  return (await import(pathToFileURL(resolveRival(folder, name)).href)) as Module;
}
