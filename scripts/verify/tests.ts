import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Check } from './check.ts';
import { type Failure, readFailures } from './failure.ts';
import { runProgram } from './program.ts';
import { judge } from './second-run.ts';

export interface TestsOptions {
  /** Default: all there are. */
  readonly files?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** vitest, whose failures are said again at the end: a log is read, and often cut, from there. */
export function tests(name: string, options: TestsOptions = {}): Check {
  return {
    name,
    run() {
      return judge({
        failures: runTests(options),
        runAgain(files) {
          console.log(`\n── ${name}: once more, alone: ${files.join(', ')}`);
          return runTests({ ...options, files, workers: 1 });
        },
      });
    },
  };
}

/** Shape: what failed; empty when all is well. */
function runTests({
  files = [],
  env = {},
  workers,
}: TestsOptions & { readonly workers?: number }): readonly Failure[] {
  const folder = mkdtempSync(join(tmpdir(), 'throughline-verify-'));
  const report = join(folder, 'failures.json');
  try {
    const reporters = ['--reporter=default', '--reporter=./scripts/verify/failure-reporter.ts'];
    const limits = workers === undefined ? [] : [`--maxWorkers=${workers}`];
    const { status } = runProgram('vitest', {
      args: ['run', ...reporters, ...limits, ...files],
      env: { ...env, THROUGHLINE_VERIFY_FAILURES: report },
    });
    return status === 0 ? [] : readFailures(report);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
