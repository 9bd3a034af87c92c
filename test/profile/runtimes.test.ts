import { expect, test } from 'vitest';
import { runToEnd } from '../support/child-process.ts';

const MAIN = 'test/profile/three-kinds-main.ts';

async function run(...flags: string[]): Promise<Record<string, number | string>> {
  const { exitCode, stdout, stderr } = await runToEnd(process.execPath, [...flags, MAIN], {});
  expect([exitCode, stderr]).toEqual([0, '']);
  return JSON.parse(stdout);
}

test.each([
  ['with AsyncContextFrame, as Node 24 has it', []],
  ['without, as on Node 22', ['--no-async-context-frame']],
])(
  'work is told apart %s',
  async (_, flags) => {
    const found = await run(...flags);
    const [large, middle, small] = ['large', 'middle', 'small'].map((name) => Number(found[name] ?? 0)) as [
      number,
      number,
      number,
    ];
    const total = large + middle + small;
    expect(total).toBeGreaterThan(400);
    expect(Math.abs(large / total - 4 / 7)).toBeLessThan(0.1);
    expect(Math.abs(middle / total - 2 / 7)).toBeLessThan(0.1);
  },
  60_000,
);

test('where the profiler cannot be loaded everything works, and asking for a profile says why not', async () => {
  const hooks = `import { registerHooks } from 'node:module';
    registerHooks({ resolve(name, context, next) {
      if (name === '@datadog/pprof') throw new Error('No native build was found for abi=115');
      return next(name, context);
    } });`;
  const found = await run('--import', `data:text/javascript,${encodeURIComponent(hooks)}`);
  expect(found).toEqual({
    code: 'PROFILER_MISSING',
    message: expect.stringMatching(
      /^@datadog\/pprof cannot be loaded on Node \d.*, so no profile can be taken: No native build was found/,
    ),
  });
}, 60_000);
