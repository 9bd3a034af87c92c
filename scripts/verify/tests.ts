import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Check } from './check.ts';
import { describeFailure, type Failure, readFailures } from './failure.ts';
import { runProgram } from './program.ts';

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
      const failures = runTests(options);
      return { isPassed: failures.length === 0, remarks: failures.map(describeFailure) };
    },
  };
}

/** Shape: what failed; empty when all is well. */
function runTests({ files = [], env = {} }: TestsOptions): readonly Failure[] {
  const folder = mkdtempSync(join(tmpdir(), 'throughline-verify-'));
  const report = join(folder, 'failures.json');
  try {
    const { status } = runProgram('vitest', {
      args: ['run', '--reporter=default', '--reporter=./scripts/verify/failure-reporter.ts', ...files],
      env: { ...env, THROUGHLINE_VERIFY_FAILURES: report },
    });
    return status === 0 ? [] : readFailures(report);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
