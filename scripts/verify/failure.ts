import { readFileSync } from 'node:fs';

/** Something that made a run of vitest fail. */
export interface Failure {
  /** From the repository's root; undefined for what vitest could not lay to a file's charge. */
  readonly file?: string;
  /** The test's name with those of its suites; undefined for what failed outside a test (loading, a hook). */
  readonly test?: string;
  /** The first line of what was thrown. */
  readonly error: string;
}

/** What `failure-reporter.ts` has written. Never empty: vitest may have died before it could tell. */
export function readFailures(path: string): readonly Failure[] {
  let failures: readonly Failure[] = [];
  try {
    failures = JSON.parse(readFileSync(path, 'utf8')) as readonly Failure[];
  } catch {
    // There is no report: told below.
  }
  return failures.length > 0 ? failures : [{ error: 'vitest ended without telling what failed' }];
}

/** Shape: `test/saga/races.test.ts > undoes what came late: AssertionError: expected 1 to be 2`. */
export function describeFailure({ file = 'outside every file', test, error }: Failure): string {
  return `${test === undefined ? file : `${file} > ${test}`}: ${error}`;
}
