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
import { freePort } from '../../shared/free-port.ts';
import { PATIENCE_MS } from '../support/patience.ts';

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
/** Starting and ending the system comes on top of its orders. */
const DEMO_TIMEOUT_MS = 2 * PATIENCE_MS;
const npm = (...args: string[]) =>
  run('npm', ['run', '--silent', ...args], { cwd: REPOSITORY, timeout: DEMO_TIMEOUT_MS });

/** What stays the same from run to run: names, marks and order, without keys, ids, times and columns. */
function shape(output: string): string[] {
  return stripVTControlCharacters(output)
    .replace(/\n[│ ]+(?=[↩⇠✗])/g, ' ') // whether there is room for marks in a span's line depends on its figures too
    .split('\n')
    .map((line) =>
      line
        .replace(/O-\w+-(\d)/, 'O-$1')
        .replace(/[0-9a-f]{32}/, 'TRACE')
        .replace(/\d+(\.\d+)? (µs|ms|s)\b/g, 'TIME')
        .replace(/(process|127\.0\.0\.1:) ?\d+/g, '$1')
        .replace(/✗ (\w+).*$/, '✗ $1') // how much of it there is room for depends on the figures before it
        .replace(/\d+ spans/, 'SPANS')
        .replace(/\(\d+ of statements/, '(SOME of statements')
        .replace(/\s+/g, ' ')
        .trim(),
    )
    .filter((line) => line !== '');
}

/** What an order's tree has, in whatever number and place. */
const kinds = (lines: readonly string[]) => new Set(lines.map((line) => line.replace(/^[│├└─ ]+/, '')));
const timesSent = (lines: readonly string[]) =>
  lines.filter((line) => / send .* workspace\.set-up$/.test(line)).length;
const WORKER_KILLED = '5';

/**
 * Trees are equal line by line, but where a busy machine had time to send a job more often than it is shown. Of the order whose
 * worker is killed the partner may besides have told of the killed one's call, or not yet.
 */
function expectAsShown(number: string, printed: readonly string[], shown: readonly string[]): void {
  const isExact = number !== WORKER_KILLED && timesSent(printed) === timesSent(shown);
  if (isExact) expect(printed).toEqual(shown);
  else expect(kinds(printed)).toEqual(kinds(shown));
}

/** The lines of each order, by its number. */
function ordersOf(output: string): Map<string, string[]> {
  const orders = output.split(/\n(?=O-\w+-\d {2})/).slice(1);
  return new Map(
    orders.map((text) => {
      const [, number = ''] = /^O-\w+-(\d)/.exec(text) ?? [];
      return [number, shape(text).filter((line) => !/^(\d of \d orders|…)/.test(line))];
    }),
  );
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
    const printed = ordersOf(stdout);
    expect(printed.size).toBe(5);
    expect(stdout).toContain('5 of 5 orders are connected');
    // Not all of them are shown there, but those that are shown are as they come.
    const shown = ordersOf(block('text'));
    expect([...shown.keys()]).toEqual(['1', '3', '5']);
    for (const [number, lines] of shown) expectAsShown(number, printed.get(number) ?? [], lines);
  },
  'npm run publish -- demo --emulator gcloud': async () => {
    if (!hasGcloud) return;
    const { stdout } = await npm('publish', '--', 'demo', '--emulator', 'gcloud');
    expect(stdout).toContain('5 of 5 orders are connected');
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
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, orders: [{ connected: true }, {}, {}, {}, {}] });
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
  'npm run publish -- demo --all-spans': async (folder) => {
    const file = join(folder, 'one-order.jsonl');
    await writeFile(file, '{"orderKey": "O-8", "domain": "shop.example", "email": "ada@shop.example"}');
    const { stdout } = await npm('publish', '--', 'demo', '--all-spans', '--orders', file);
    expect(stdout).toContain('pg.query:COMMIT');
  },
  'npm start': startAndStop,
  'npx throughline saga list --state stuck': async () => {
    const { stdout } = await run(process.execPath, ['cli/main.ts', 'saga', 'list', '--help'], {
      cwd: REPOSITORY,
    });
    expect(stdout).toContain('--state');
  },
  'npx throughline saga retry 0198c0de-1f3a-7b5e-9f00-4f6f7b1f2a11': async () => {
    const { stdout } = await run(process.execPath, ['cli/main.ts', 'saga', 'retry', '--help'], {
      cwd: REPOSITORY,
    });
    expect(stdout).toContain('Usage:');
  },
  'npx throughline slo report --prometheus http://127.0.0.1:9090': () =>
    isUnderstood('npx throughline slo report --prometheus http://127.0.0.1:9090'),
  'npx throughline capacity --prometheus http://127.0.0.1:9090 --rate 2000 --latency 0.5': () =>
    isUnderstood('npx throughline capacity --prometheus http://127.0.0.1:9090 --rate 2000 --latency 0.5'),
  'npx throughline profile --url http://127.0.0.1:9464 --seconds 30': () =>
    isUnderstood('npx throughline profile --url http://127.0.0.1:9464 --seconds 30'),
  'npm run chaos -- --minutes 3': async () => {
    expect(readFileSync(join(REPOSITORY, 'package.json'), 'utf8')).toContain(
      '"chaos": "node scripts/chaos/main.ts"',
    );
  },
  'npm run bench -- messaging': async () => {
    expect(readFileSync(join(REPOSITORY, 'scripts/verify.ts'), 'utf8')).toContain("'messaging', '--quick'");
  },
  'npm run bench -- sagas': async () => {
    expect(readFileSync(join(REPOSITORY, 'scripts/verify.ts'), 'utf8')).toContain("'sagas', '--quick'");
  },
  'npm run bench -- campaign': async () => {
    expect(readFileSync(join(REPOSITORY, 'scripts/verify.ts'), 'utf8')).toContain("'campaign', '--quick'");
  },
  'npm run bench -- telemetry': async () => {
    expect(readFileSync(join(REPOSITORY, 'scripts/verify.ts'), 'utf8')).toContain("'telemetry', '--quick'");
  },
  'npm run bench -- profile': async () => {
    expect(readFileSync(join(REPOSITORY, 'scripts/verify.ts'), 'utf8')).toContain("'profile', '--quick'");
  },
};

/** The command as it stands there, asked of an address where nobody listens: all that it lacks is an answer. */
async function isUnderstood(command: string): Promise<void> {
  const [, , ...args] = command.replace(/127\.0\.0\.1:\d+/, `127.0.0.1:${await freePort()}`).split(' ');
  const env = { ...process.env, THROUGHLINE_ADMIN_TOKEN: 'only-for-this-test-'.repeat(2) };
  const asked = run(process.execPath, ['cli/main.ts', ...args], { cwd: REPOSITORY, env });
  await expect(asked).rejects.toThrow('ECONNREFUSED');
}

/** Places the order that the system itself suggests, and ends it as Ctrl-C would. */
async function startAndStop(folder: string): Promise<void> {
  const system = spawn(process.execPath, [join(REPOSITORY, 'scripts/start.ts')], {
    cwd: folder,
    env: { ...process.env, PORT: '0', LOG_LEVEL: 'fatal' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  for await (const chunk of system.stdout) {
    said += String(chunk);
    if (said.includes('Ctrl-C')) break;
  }
  const [, url, body] = /curl -s (\S+) .* -d '([^']+)'/.exec(said) ?? [];
  const headers = { 'content-type': 'application/json' };
  const placed = await fetch(url ?? '', { method: 'POST', headers, body: body ?? '' });
  expect(placed.status).toBe(202);
  const ended = once(system, 'exit');
  system.kill('SIGINT');
  expect((await ended)[0]).toBe(130);
}

describe('the README', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'throughline-readme-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('shows no command that is not checked here', () => {
    expect(new Set(COMMANDS)).toEqual(new Set(Object.keys(CHECKS)));
  });

  it.each(Object.entries(CHECKS))('shows a command that works: %s', (_command, check) => check(folder));
});
