import { expect, test } from 'vitest';
import type { Failure } from './failure.ts';
import { judge } from './second-run.ts';

const failing = (file?: string): Failure => ({
  ...(file !== undefined && { file }),
  test: 'is so',
  error: 'Error: no',
});

/** The verdict, and which files were run again. */
function judged(failures: readonly Failure[], second: readonly Failure[] = []) {
  const ran: (readonly string[])[] = [];
  const verdict = judge({
    failures,
    runAgain(files) {
      ran.push(files);
      return second;
    },
  });
  return { ...verdict, ran };
}

test('nothing that failed is nothing to say, and nothing to run', () => {
  expect(judged([])).toEqual({ isPassed: true, remarks: [], ran: [] });
});

test('a file that passes by itself passes, and is told', () => {
  expect(judged([failing('a.test.ts'), failing('a.test.ts')])).toEqual({
    isPassed: true,
    remarks: Array(2).fill('PASSED ONLY WHEN RUN AGAIN: a.test.ts > is so: Error: no'),
    ran: [['a.test.ts']],
  });
});

test('a file that fails by itself as well has failed, and both are told', () => {
  expect(judged([failing('a.test.ts'), failing('b.test.ts')], [failing('b.test.ts')])).toEqual({
    isPassed: false,
    remarks: [
      'a.test.ts > is so: Error: no',
      'b.test.ts > is so: Error: no',
      'run again: b.test.ts > is so: Error: no',
    ],
    ran: [['a.test.ts', 'b.test.ts']],
  });
});

test.each([
  ['is of no file', [failing('a.test.ts'), failing()]],
  ['is in many files', ['a', 'b', 'c', 'd'].map((name) => failing(`${name}.test.ts`))],
])('what %s is not run again', (_, failures) => {
  expect(judged(failures)).toMatchObject({ isPassed: false, ran: [], remarks: { length: failures.length } });
});
