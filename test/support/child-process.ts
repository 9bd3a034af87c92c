import { type ChildProcess, spawn } from 'node:child_process';
import { homedir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { inject, onTestFinished } from 'vitest';
import { readConfig } from '../../shared/config.ts';
import { PATIENCE_MS } from './patience.ts';

/** The repository's root. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** After this the process is killed, in ms. Default PATIENCE_MS. */
  readonly timeoutMs?: number;
  /** What it can read, and then the end. Default: it has no input. */
  readonly input?: string;
}

export interface Ended {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The environment of a child: what it takes to find programs, and what the test says. Nothing else leaks in. */
export function cleanEnvironment(env: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const { searchPath: PATH, javaHome, cloudSdkRoot, extraCaCerts } = readConfig();
  const found = {
    ...{ PATH, HOME: homedir(), NODE_COMPILE_CACHE: inject('compileCache') },
    ...(extraCaCerts !== undefined && { NODE_EXTRA_CA_CERTS: extraCaCerts }),
    ...(javaHome !== undefined && { JAVA_HOME: javaHome }),
    ...(cloudSdkRoot !== undefined && { CLOUDSDK_ROOT_DIR: cloudSdkRoot }),
  };
  // Neither credentials nor a project may be found, whoever runs the tests and wherever.
  const nobody = { CLOUDSDK_CONFIG: '/nonexistent', METADATA_SERVER_DETECTION: 'none' };
  return { ...found, ...nobody, ...env };
}

/** Runs a program and resolves with what it said, once it has ended. */
export async function runToEnd(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Ended> {
  const child = spawn(command, args, {
    cwd: ROOT,
    env: cleanEnvironment(options.env),
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  });
  endWithTest(child);
  child.stdin?.on('error', () => {}).end(options.input); // it may have ended without reading
  const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? PATIENCE_MS);
  const [stdout, stderr, exitCode] = await Promise.all([
    textOf(child.stdout),
    textOf(child.stderr),
    exitOf(child),
  ]);
  clearTimeout(timer);
  return { exitCode, stdout, stderr };
}

/** Sees to it that the child does not outlive the test. */
export function endWithTest(child: ChildProcess): void {
  onTestFinished(() => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  });
}

/** The exit code; null when a signal ended it. */
export function exitOf(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code));
  });
}

async function textOf(stream: NodeJS.ReadableStream | null): Promise<string> {
  let text = '';
  for await (const chunk of stream ?? []) text += chunk.toString();
  return text;
}
