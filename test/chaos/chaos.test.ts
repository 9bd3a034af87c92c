import { expect, test } from 'vitest';
import { runToEnd } from '../support/child-process.ts';

const TIMEOUT_MS = 180_000;

async function chaos(...args: readonly string[]) {
  return runToEnd(process.execPath, ['scripts/chaos/main.ts', ...args], { timeoutMs: TIMEOUT_MS });
}

test(
  'a short run under kills and faults loses nothing, doubles nothing, disconnects nothing and is silent about nothing',
  async () => {
    const { exitCode, stdout, stderr } = await chaos('--quick', '--seed', '2');
    const figures: unknown = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '');
    expect(figures, `${stdout}\n${stderr}`).toMatchObject({
      orders: 45,
      lost: 0,
      doubled: 0,
      disconnected: 0,
      silent: 0,
      seed: 2,
    });
    expect(exitCode).toBe(0);
  },
  TIMEOUT_MS,
);

test.each([
  [['--minutes', 'soon'], /--minutes .* It must be a number above 0/],
  [['--seed', '-1'], /--seed .* It must be a whole number from 0/],
  [['--slow'], /unknown option '--slow'/],
  [['now'], /too many arguments/],
])('%j is refused in one line', async (args, message) => {
  const { exitCode, stdout, stderr } = await chaos(...args);
  expect(exitCode).toBe(1);
  expect(stdout).toBe('');
  expect(stderr.trimEnd()).toMatch(message);
  expect(stderr.trimEnd().split('\n')).toHaveLength(1);
});
