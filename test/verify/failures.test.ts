import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeFailure, readFailures } from '../../scripts/verify/failure.ts';
import { ROOT, runToEnd } from '../support/child-process.ts';

const REPORTER = join(ROOT, 'scripts/verify/failure-reporter.ts');

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'throughline-failures-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** What is told of a vitest run of one file with this content. */
async function failuresOf(content: string, ...options: readonly string[]): Promise<string[]> {
  await writeFile(join(folder, 'some.test.js'), content);
  const report = join(folder, 'failures.json');
  await rm(report, { force: true });
  const { exitCode } = await runToEnd(
    join(ROOT, 'node_modules/.bin/vitest'),
    ['run', '--root', folder, '--globals', `--reporter=${REPORTER}`, ...options],
    { env: { THROUGHLINE_VERIFY_FAILURES: report } },
  );
  expect(exitCode).toBe(1);
  return readFailures(report).map(describeFailure);
}

test('tells each failed test with its suites, and the first line of its error', async () => {
  const content = `
    describe('a sum', () => {
      test('adds up', () => expect({ sum: 3 }, 'the sum').toEqual({ sum: 4 }));
      test('is a number', () => {});
    });
    test('throws', () => { throw new RangeError('too far\\nand further'); });
  `;
  expect(await failuresOf(content)).toEqual([
    'some.test.js > a sum > adds up: AssertionError: the sum: expected { sum: 3 } to deeply equal { sum: 4 }',
    'some.test.js > throws: RangeError: too far',
  ]);
});

test('tells what fails outside a test: a file that does not load, a hook, an error that nobody awaited', async () => {
  expect(await failuresOf(`throw new Error('no such thing')`)).toEqual([
    'some.test.js: Error: no such thing',
  ]);
  const hook = `
    describe('a stage', () => {
      beforeAll(() => { throw new Error('cannot be set'); });
      test('is played on', () => {});
    });
  `;
  expect(await failuresOf(hook)).toEqual(['some.test.js: Error: cannot be set']);
  const unawaited = `
    test('passes', async () => {
      Promise.reject(new Error('on its own'));
      await new Promise((resolve) => setImmediate(resolve));
    });
  `;
  expect(await failuresOf(unawaited)).toEqual(['some.test.js: unhandled Error: on its own']);
});

test('tells of a file whose process ends before its tests do', async () => {
  const told = await failuresOf(`test('falls over', () => process.kill(process.pid, 'SIGKILL'))`);
  expect(told).toContainEqual(expect.stringMatching(/^some\.test\.js: /));
});

test('tells that vitest told nothing', async () => {
  expect(await failuresOf('', '--no-such-option')).toEqual([
    'outside every file: vitest ended without telling what failed',
  ]);
});
