import { writeFileSync } from 'node:fs';
import { stripVTControlCharacters } from 'node:util';
import type { Reporter, SerializedError, TestModule } from 'vitest/node';
import type { Failure } from './failure.ts';

/**
 * Writes what failed to the file that THROUGHLINE_VERIFY_FAILURES names. vitest's own JSON report will not do: it leaves
 * out errors that nobody awaited, and those fail a run in which every test has passed.
 */
export default class FailureReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const { THROUGHLINE_VERIFY_FAILURES: path } = process.env;
    if (path === undefined) throw new Error('THROUGHLINE_VERIFY_FAILURES: expected the file to write to');
    const failures: Failure[] = [
      ...modules.flatMap(failuresOf),
      ...unhandled.map((error) => unhandledFailure(error, modules)),
    ];
    writeFileSync(path, JSON.stringify(failures));
  }
}

function failuresOf(module: TestModule): Failure[] {
  const file = module.relativeModuleId;
  const outsideTests = [module, ...module.children.allSuites()].flatMap((suite) => suite.errors());
  const failures: Failure[] = [
    ...outsideTests.map((error) => ({ file, error: firstLine(error) })),
    ...[...module.children.allTests('failed')].flatMap((test) =>
      (test.result().errors ?? []).slice(0, 1).map((error) => ({
        file,
        test: test.fullName,
        error: firstLine(error),
      })),
    ),
  ];
  const hasEnded = ['passed', 'skipped'].includes(module.state());
  // A worker that dies takes what it knew with it.
  return failures.length === 0 && !hasEnded ? [{ file, error: `it is ${module.state()}` }] : failures;
}

/** vitest notes which file was running. */
function unhandledFailure(error: SerializedError, modules: readonly TestModule[]): Failure {
  const { VITEST_TEST_PATH: path } = error as { readonly VITEST_TEST_PATH?: string };
  const module = modules.find(({ moduleId }) => moduleId === path);
  return { ...(module && { file: module.relativeModuleId }), error: `unhandled ${firstLine(error)}` };
}

function firstLine({ name, message }: SerializedError): string {
  const [line = ''] = stripVTControlCharacters(message).split('\n');
  return name === undefined || line.startsWith(name) ? line : `${name}: ${line}`;
}
