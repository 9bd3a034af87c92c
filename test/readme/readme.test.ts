import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify, stripVTControlCharacters } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findGcloudEmulator } from '../../emulator/gcloud.ts';
import { readConfig } from '../../shared/config.ts';

const run = promisify(execFile);
const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));
const README = readFileSync(join(REPOSITORY, 'README.md'), 'utf8');

/** The commands that the README shows, without their comments. */
const COMMANDS = [...README.matchAll(/```sh\n([\s\S]*?)```/g)]
  .flatMap(([, block = '']) => block.split('\n'))
  .map((line) => line.replace(/\s+#.*$/, '').trim())
  .filter((line) => line !== '');

const block = (language: string) =>
  new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``).exec(README)?.[1] ?? '';

const hasGcloud = findGcloudEmulator(readConfig()) !== undefined;
const npm = (...args: string[]) =>
  run('npm', ['run', '--silent', ...args], { cwd: REPOSITORY, timeout: 60_000 });

/** What stays the same from run to run: names, marks and order, without keys, ids, times and columns. */
function shape(output: string): string[] {
  return stripVTControlCharacters(output)
    .split('\n')
    .map((line) =>
      line
        .replace(/O-\w+-(\d)/, 'O-$1')
        .replace(/[0-9a-f]{32}/, 'TRACE')
        .replace(/\d+(\.\d+)? (µs|ms|s)\b/, 'TIME')
        .replace(/(process|127\.0\.0\.1:) ?\d+/g, '$1')
        .replace(/\s+/g, ' ')
        .trim(),
    )
    .filter((line) => line !== '');
}

/** How each command is checked. A command without a check fails the test below. */
const CHECKS: Readonly<Record<string, (folder: string) => Promise<void>>> = {
  'npm ci && npm run publish demo': async (folder) => {
    // The lock is compared as in a fresh clone; nothing is installed.
    for (const file of ['package.json', 'package-lock.json', '.npmrc']) {
      await copyFile(join(REPOSITORY, file), join(folder, file));
    }
    await run('npm', ['ci', '--dry-run', '--ignore-scripts'], { cwd: folder });
    const { stdout } = await npm('publish', 'demo');
    expect(shape(stdout)).toEqual(shape(block('text')));
  },
  'npm run publish -- demo --emulator gcloud': async () => {
    if (!hasGcloud) return;
    const { stdout } = await npm('publish', '--', 'demo', '--emulator', 'gcloud');
    expect(stdout).toContain('3 of 3 orders are connected');
  },
  'npm run publish -- demo --orders orders.jsonl': async (folder) => {
    const file = join(folder, 'orders.jsonl');
    await writeFile(file, block('jsonl'));
    const { stdout } = await npm('publish', '--', 'demo', '--orders', file);
    expect(stdout).toContain('attempt 3');
    expect(stdout).toContain('1 of 1 orders are connected');
  },
  'npm run publish -- demo --json': async () => {
    const { stdout } = await npm('publish', '--', 'demo', '--json');
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, orders: [{ connected: true }, {}, {}] });
  },
  'npm run publish': async () => {
    const { stdout } = await npm('publish');
    expect(stdout).toContain('Usage:');
    expect(stdout).toContain('job');
  },
  'npm run emulator': async () => {
    const emulator = spawn('npm', ['run', '--silent', 'emulator', '--', '--port', '0'], {
      cwd: REPOSITORY,
      detached: true,
    });
    const [said] = (await once(emulator.stdout, 'data')) as [Buffer];
    expect(said.toString()).toMatch(/^export PUBSUB_EMULATOR_HOST=127\.0\.0\.1:\d+/);
    const ended = once(emulator, 'exit');
    process.kill(-(emulator.pid ?? 0), 'SIGTERM');
    await ended;
  },
  // It is what runs this test.
  'npm cit': async () => {
    expect(readFileSync(join(REPOSITORY, '.ci/run'), 'utf8')).toContain('npm cit');
  },
  'npm run bench -- messaging': async () => {
    expect(readFileSync(join(REPOSITORY, 'scripts/verify.ts'), 'utf8')).toContain("'messaging', '--quick'");
  },
};

describe('the README', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'throughline-readme-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('shows no command that is not checked here', () => {
    expect(new Set(COMMANDS)).toEqual(new Set(Object.keys(CHECKS)));
  });

  it.each(Object.entries(CHECKS))(
    'shows a command that works: %s',
    (_command, check) => check(folder),
    60_000,
  );
});
