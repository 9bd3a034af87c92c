import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase } from '../support/test-database.ts';

const run = promisify(execFile);
const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));
const PARTS = [
  'instrumentation',
  'publisher',
  'saga',
  'subscriber',
  'shared',
  'storage',
  'emulator',
  'testing',
];

/** What a new user copies: the README's examples, as they stand. They are valid JavaScript, too. */
const [EXAMPLE = '', SAGA_EXAMPLE = ''] = [
  ...readFileSync(join(REPOSITORY, 'README.md'), 'utf8').matchAll(/```ts\n([\s\S]*?)```/g),
].map(([, code]) => code);

describe('the packed package in an empty project', () => {
  let project: string;

  beforeAll(async () => {
    project = await mkdtemp(join(tmpdir(), 'throughline-package-'));
    await run('npm', ['pack', '--pack-destination', project], { cwd: REPOSITORY });
    const [tarball = ''] = (await readdir(project)).filter((file) => file.endsWith('.tgz'));
    await writeFile(
      join(project, 'package.json'),
      JSON.stringify({ name: 'shop', private: true, type: 'module' }),
    );
    const install = ['install', '--no-audit', '--no-fund', '--prefer-offline', `./${tarball}`, 'zod@4'];
    await run('npm', install, { cwd: project });
  }, 240_000);

  afterAll(() => rm(project, { recursive: true, force: true }));

  it("runs the README's example from plain JavaScript", async () => {
    await writeFile(join(project, 'main.js'), EXAMPLE);
    const { stdout } = await run(process.execPath, ['main.js'], { cwd: project });
    expect(stdout).toContain('welcome, ada@shop.example (attempt 1)');
    expect(stdout).toMatch(/send mails.*\n\s+process mails/);
  });

  it("runs the README's saga, which compensates, on a PostgreSQL", async () => {
    const { url, close } = await createTestDatabase();
    await writeFile(join(project, 'saga.js'), SAGA_EXAMPLE);
    const { stdout } = await run(process.execPath, ['saga.js'], {
      cwd: project,
      env: { ...process.env, DATABASE_URL: url },
    }).finally(close);
    expect(stdout).toBe('confirmed\ncard reactivated: no rooms left\ncompensated\n');
  });

  it("type-checks the README's example from TypeScript, and refuses a wrong payload", async () => {
    const compiler = join(
      dirname(fileURLToPath(import.meta.resolve('typescript/package.json'))),
      'bin',
      'tsc',
    );
    const types = join(REPOSITORY, 'node_modules', '@types');
    await symlink(types, join(project, 'node_modules', '@types')).catch(() => {});
    const check = (file: string) =>
      run(
        process.execPath,
        [
          compiler,
          '--noEmit',
          '--strict',
          '--skipLibCheck',
          '--module',
          'nodenext',
          '--target',
          'es2024',
          '--types',
          'node',
          file,
        ],
        { cwd: project },
      );
    await writeFile(join(project, 'right.ts'), EXAMPLE);
    await check('right.ts');
    await writeFile(join(project, 'saga.ts'), SAGA_EXAMPLE);
    await check('saga.ts');
    await writeFile(join(project, 'wrong-saga.ts'), SAGA_EXAMPLE.replace('redeem.cardId', 'redeem.card'));
    await expect(check('wrong-saga.ts')).rejects.toMatchObject({
      stdout: expect.stringContaining("Property 'card' does not exist"),
    });
    await writeFile(join(project, 'wrong.ts'), EXAMPLE.replace("{ to: 'ada@shop.example' }", '{ to: 7 }'));
    await expect(check('wrong.ts')).rejects.toMatchObject({
      stdout: expect.stringContaining("'number' is not assignable"),
    });
  });

  it('exports the eight parts and nothing else', async () => {
    const script = PARTS.map((part) => `await import('throughline/${part}');`).join('\n');
    await writeFile(join(project, 'parts.js'), script);
    await run(process.execPath, ['parts.js'], { cwd: project });
    await writeFile(join(project, 'inner.js'), "await import('throughline/shared/config.js');");
    await expect(run(process.execPath, ['inner.js'], { cwd: project })).rejects.toMatchObject({
      stderr: expect.stringContaining('ERR_PACKAGE_PATH_NOT_EXPORTED'),
    });
  });

  it('installs the command line: throughline --help', async () => {
    const command = join(project, 'node_modules', '.bin', 'throughline');
    const { stdout } = await run(command, ['--help'], { cwd: project });
    expect(stdout).toContain('Usage: throughline');
    const { code, stderr } = (await run(command, ['db', 'status'], {
      cwd: project,
      env: { ...process.env, DATABASE_URL: '' },
    }).catch((error: unknown) => error as { code: number; stderr: string })) as {
      code?: number;
      stderr: string;
    };
    expect([code, stderr]).toEqual([2, expect.stringContaining('throughline: DATABASE_URL is not set')]);
  });
});
