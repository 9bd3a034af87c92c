import { spawnSync } from 'node:child_process';

/**
 * What CI runs: format and lint (with import cycles and the arrows between folders), types, unused exports, tests, and
 * each benchmark once, small. Everything runs even when something fails, so that one run tells all.
 */
interface Check {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

const { CI, THROUGHLINE_VERIFY_DATABASE_URL: databaseUrl } = process.env;

/** What speaks to PostgreSQL, once more on one that is not the embedded one. */
const ON_POSTGRES = [
  'test/storage',
  'test/outbox',
  'test/inbox',
  'test/saga',
  'test/cli',
  'test/orders',
  'test/crash/messages',
];

const CHECKS: readonly Check[] = [
  { name: 'format, lint, cycles, arrows', command: 'biome', args: ['check', '--error-on-warnings', '.'] },
  { name: 'types', command: 'tsc', args: [] },
  { name: 'unused files, exports and dependencies', command: 'knip', args: [] },
  { name: 'tests', command: 'vitest', args: ['run'] },
  ...(databaseUrl === undefined
    ? []
    : [
        {
          name: 'tests on a given PostgreSQL',
          command: 'vitest',
          args: ['run', ...ON_POSTGRES],
          env: { DATABASE_URL: databaseUrl },
        },
      ]),
  bench('messaging', '--quick', '--json'),
  bench('sagas', '--quick', '--json'),
  bench('telemetry', '--quick', '--json'),
];

function bench(...args: readonly string[]): Check {
  return {
    name: `benchmark ${args[0]}, small`,
    command: process.execPath,
    args: ['scripts/bench/main.ts', ...args],
  };
}

const failed = CHECKS.filter(({ name, command, args, env }) => {
  const startedMs = performance.now();
  console.log(`\n── ${name}`);
  const { status, error } = spawnSync(command, args, { stdio: 'inherit', env: { ...process.env, ...env } });
  if (error) console.error(String(error));
  const seconds = Math.round((performance.now() - startedMs) / 1_000);
  console.log(`── ${name}: ${status === 0 ? 'ok' : 'FAILED'} after ${seconds} s`);
  return status !== 0;
}).map(({ name }) => name);

if (databaseUrl === undefined) {
  const sentence = 'the tests on a given PostgreSQL: THROUGHLINE_VERIFY_DATABASE_URL names none';
  if (CI) failed.push(sentence);
  else console.log(`\nNot run: ${sentence}.`);
}
console.log(failed.length === 0 ? '\nAll checks passed.' : `\nFailed: ${failed.join('; ')}`);
process.exitCode = failed.length === 0 ? 0 : 1;
