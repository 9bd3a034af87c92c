import { spawnSync } from 'node:child_process';

/**
 * What CI runs: format and lint (with import cycles and the arrows between folders), types, unused exports, tests, and
 * each benchmark once, small. Everything runs even when something fails, so that one run tells all.
 */
const CHECKS: readonly (readonly [name: string, command: string, ...args: string[]])[] = [
  ['format, lint, cycles, arrows', 'biome', 'check', '--error-on-warnings', '.'],
  ['types', 'tsc'],
  ['unused files, exports and dependencies', 'knip'],
  ['tests', 'vitest', 'run'],
  ['benchmark messaging, small', process.execPath, 'scripts/bench/main.ts', 'messaging', '--quick', '--json'],
];

const failed = CHECKS.filter(([name, command, ...args]) => {
  const startedMs = performance.now();
  console.log(`\n── ${name}`);
  const { status, error } = spawnSync(command, args, { stdio: 'inherit' });
  if (error) console.error(String(error));
  console.log(
    `── ${name}: ${status === 0 ? 'ok' : 'FAILED'} after ${Math.round((performance.now() - startedMs) / 1_000)} s`,
  );
  return status !== 0;
}).map(([name]) => name);

console.log(failed.length === 0 ? '\nAll checks passed.' : `\nFailed: ${failed.join('; ')}`);
process.exitCode = failed.length === 0 ? 0 : 1;
