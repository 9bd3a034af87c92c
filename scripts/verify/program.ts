import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import type { Check } from './check.ts';

export interface ProgramOptions {
  readonly args: readonly string[];
  /** Besides the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** False: what it says is handed back in place of printed. Default true. */
  readonly isHeard?: boolean;
}

/** Runs a program to its end. Errors: none; one that could not be started has no `status`, and the reason is printed. */
export function runProgram(command: string, options: ProgramOptions): SpawnSyncReturns<string> {
  const { args, env, isHeard = true } = options;
  const ended = spawnSync(command, args, {
    stdio: ['inherit', isHeard ? 'inherit' : 'pipe', 'inherit'],
    encoding: 'utf8',
    maxBuffer: 64 * 2 ** 20,
    env: { ...process.env, ...env },
  });
  if (ended.error) console.error(String(ended.error));
  return ended;
}

/** Passed when the program exits with 0. */
export function program(name: string, command: string, ...args: readonly string[]): Check {
  return { name, run: () => ({ isPassed: runProgram(command, { args }).status === 0, remarks: [] }) };
}
