import { benchmark } from './verify/benchmark.ts';
import type { Check } from './verify/check.ts';
import { program } from './verify/program.ts';
import { tests } from './verify/tests.ts';

const { CI, THROUGHLINE_VERIFY_DATABASE_URL: databaseUrl } = process.env;

/** What speaks to PostgreSQL, once more on one that is not the embedded one. */
const ON_POSTGRES = [
  'test/storage',
  'test/outbox',
  'test/inbox',
  'test/saga',
  'test/schedule',
  'test/limits',
  'test/rate',
  'test/campaign/sending.test.ts',
  'test/campaign/control.test.ts',
  'test/cli',
  'test/orders',
  'test/crash/messages',
];

/**
 * What CI runs: format and lint (with import cycles and the arrows between folders), types, unused exports, tests, and
 * each benchmark once, small. Everything runs even when something fails, so that one run tells all.
 */
const CHECKS: readonly Check[] = [
  program('format, lint, cycles, arrows', 'biome', 'check', '--error-on-warnings', '.'),
  program('types', 'tsc'),
  program('unused files, exports and dependencies', 'knip'),
  tests('tests'),
  ...(databaseUrl === undefined
    ? []
    : [tests('tests on a given PostgreSQL', { files: ON_POSTGRES, env: { DATABASE_URL: databaseUrl } })]),
  benchmark('messaging', '--quick'),
  benchmark('sagas', '--quick'),
  benchmark('campaign', '--quick'),
  benchmark('telemetry', '--quick'),
  benchmark('profile', '--quick'),
];

const failed: string[] = [];
const remarks: string[] = [];
for (const { name, run } of CHECKS) {
  const startedMs = performance.now();
  console.log(`\n── ${name}`);
  const verdict = run();
  const seconds = Math.round((performance.now() - startedMs) / 1_000);
  console.log(`── ${name}: ${verdict.isPassed ? 'ok' : 'FAILED'} after ${seconds} s`);
  if (!verdict.isPassed) failed.push(name);
  remarks.push(...verdict.remarks.map((remark) => `  ${name}: ${remark}`));
}

if (databaseUrl === undefined) {
  const sentence = 'the tests on a given PostgreSQL: THROUGHLINE_VERIFY_DATABASE_URL names none';
  if (CI) failed.push(sentence);
  else console.log(`\nNot run: ${sentence}.`);
}
console.log(failed.length === 0 ? '\nAll checks passed.' : `\nFailed: ${failed.join('; ')}`);
for (const remark of remarks) console.log(remark);
process.exitCode = failed.length === 0 ? 0 : 1;
