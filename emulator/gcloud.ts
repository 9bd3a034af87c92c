// Google's own emulator, where the Cloud SDK is installed. Its jar is run directly: the `gcloud` wrapper takes seconds
// to start, and leaves a child behind that holds the port when only the wrapper is ended.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { createServer } from 'node:net';
import { homedir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Client, credentials } from '@grpc/grpc-js';
import { loadDefinitions } from './pubsub/definitions.ts';

/** Where to look; `readConfig()` gives these fields. */
export interface SearchPlaces {
  /** As in PATH. */
  readonly searchPath: string;
  /** The folder of the Cloud SDK. Default: found from `gcloud` on the search path, then in the usual folders. */
  readonly cloudSdkRoot?: string | undefined;
  readonly javaHome?: string | undefined;
}

export interface GcloudEmulator {
  readonly version: string;
  readonly command: string;
  /** The arguments before `--host` and `--port`. */
  readonly args: readonly string[];
}

export interface GcloudOptions extends SearchPlaces {
  /** 0, the default, takes any free port. */
  readonly port?: number;
  /** Default `127.0.0.1`. */
  readonly host?: string;
  /** How long the emulator may take until it answers its first call, in ms. Default 30_000. */
  readonly startTimeoutMs?: number;
}

export interface RunningGcloudEmulator {
  /** What PUBSUB_EMULATOR_HOST takes. */
  readonly host: string;
  readonly version: string;
  /** Of the process that was started; it leads a process group of its own. */
  readonly pid: number;
  /** Settles when the emulator has gone, with what it printed last. */
  readonly exited: Promise<string>;
  /** Ends exactly the processes that were started, and waits until they have gone. May be called twice. */
  close(): Promise<void>;
}

export class GcloudEmulatorError extends Error {
  override readonly name = 'GcloudEmulatorError';
}

const STOP_GRACE_MS = 5_000;
const JAR_NAME = /^cloud-pubsub-emulator-(\d[\d.]*)-all\.jar$/;

/** Undefined when the emulator or Java is not installed. */
export function findGcloudEmulator(places: SearchPlaces): GcloudEmulator | undefined {
  const java = findJava(places);
  if (!java) return undefined;
  for (const root of sdkRoots(places)) {
    const found = findJar(join(root, 'platform', 'pubsub-emulator', 'lib'));
    if (found) return { version: found.version, command: java, args: ['-jar', found.jar] };
  }
  const gcloud = onPath('gcloud', places);
  if (!gcloud) return undefined;
  return {
    version: 'unknown',
    command: gcloud,
    args: ['beta', 'emulators', 'pubsub', 'start', '--quiet', '--project=throughline-local'],
  };
}

/** Errors: GcloudEmulatorError when it is not installed, stops while starting, or does not answer in time. */
export async function startGcloudEmulator(options: GcloudOptions): Promise<RunningGcloudEmulator> {
  const { host: address = '127.0.0.1', startTimeoutMs = 30_000 } = options;
  const emulator = findGcloudEmulator(options);
  if (!emulator) throw new GcloudEmulatorError("Google's Pub/Sub emulator or Java is not installed.");
  const port = options.port || (await findFreePort(address));
  const host = `${address}:${port}`;
  const { command, args, version } = emulator;
  const group = startGroup(command, [...args, ...addressArguments(emulator, address, port)]);
  const stopped = group.exited.then((output) => {
    throw new GcloudEmulatorError(`Google's Pub/Sub emulator stopped while starting. ${output}`);
  });
  try {
    await Promise.race([stopped, answersCalls(host, startTimeoutMs)]);
  } catch (error) {
    await group.close();
    throw error;
  }
  stopped.catch(() => {});
  return { host, version, ...group };
}

function addressArguments({ args }: GcloudEmulator, address: string, port: number): string[] {
  const isJar = args[0] === '-jar';
  return isJar ? [`--host=${address}`, `--port=${port}`] : [`--host-port=${address}:${port}`];
}

function sdkRoots(places: SearchPlaces): string[] {
  const gcloud = onPath('gcloud', places);
  const roots = [
    places.cloudSdkRoot,
    // A package manager links bin/gcloud from elsewhere: the link's target is in the SDK.
    gcloud && dirname(dirname(realpathSync(gcloud))),
    ...[
      '/usr/lib',
      '/usr/share',
      '/usr/local',
      '/usr/local/share',
      '/opt',
      '/opt/homebrew/share',
      homedir(),
    ].map((folder) => join(folder, 'google-cloud-sdk')),
    '/google-cloud-sdk',
    '/snap/google-cloud-cli/current',
  ];
  return roots.filter((root): root is string => root !== undefined && root !== '');
}

/** The newest version in the folder. */
function findJar(folder: string): { jar: string; version: string } | undefined {
  if (!existsSync(folder)) return undefined;
  const versions = readdirSync(folder).flatMap((name) => JAR_NAME.exec(name)?.[1] ?? []);
  const version = versions.sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1);
  return version ? { version, jar: join(folder, `cloud-pubsub-emulator-${version}-all.jar`) } : undefined;
}

function findJava(places: SearchPlaces): string | undefined {
  const ofHome = places.javaHome && join(places.javaHome, 'bin', 'java');
  return ofHome && existsSync(ofHome) ? ofHome : onPath('java', places);
}

function onPath(command: string, { searchPath }: SearchPlaces): string | undefined {
  const folders = searchPath.split(delimiter).filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, command)).find((path) => existsSync(path));
}

/** Nothing holds the port between asking and using it, which is the best that can be done for another process. */
function findFreePort(host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, host, () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

/** Resolves when a real call is answered: the port may open before the service behind it is ready. */
async function answersCalls(host: string, timeoutMs: number): Promise<void> {
  const client = new Client(host, credentials.createInsecure(), {
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 250,
  });
  const deadline = Date.now() + timeoutMs;
  try {
    await promisify(client.waitForReady.bind(client))(deadline);
    await listTopics(client, deadline);
  } catch (error) {
    const text = `Google's Pub/Sub emulator did not answer on ${host} within ${timeoutMs} ms.`;
    throw new GcloudEmulatorError(text, { cause: error });
  } finally {
    client.close();
  }
}

function listTopics(client: Client, deadline: number): Promise<void> {
  const method = loadDefinitions().publisher.ListTopics;
  if (!method) throw new Error('the service definitions have no ListTopics');
  const { path, requestSerialize, responseDeserialize } = method;
  const request = { project: 'projects/throughline-local' };
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, { deadline }, (error) =>
      error ? reject(error) : resolve(),
    );
  });
}

type ProcessGroup = Pick<RunningGcloudEmulator, 'pid' | 'exited' | 'close'>;

function startGroup(command: string, args: readonly string[]): ProcessGroup {
  const child = spawn(command, args, { detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = outputUntilExit(child);
  const pid = child.pid ?? 0;
  // Should this process end without close(), nobody else would know about the group.
  const killGroup = () => void signalGroup(pid, 'SIGKILL');
  process.once('exit', killGroup);
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= stopGroup(pid, exited).finally(() => process.off('exit', killGroup));
    return closing;
  };
  return { pid, exited, close };
}

/** Resolves with the last of what the process printed; also when it could not be started at all. */
function outputUntilExit(child: ChildProcess): Promise<string> {
  let output = '';
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-2_000);
  };
  child.stdout?.on('data', keep);
  child.stderr?.on('data', keep);
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', () => resolve(output.trim()));
  });
}

async function stopGroup(pid: number, exited: Promise<string>): Promise<void> {
  if (pid === 0) return;
  signalGroup(pid, 'SIGTERM');
  const graceOver = new AbortController();
  const grace = delay(STOP_GRACE_MS, 'late', { signal: graceOver.signal }).catch(() => 'aborted');
  if ((await Promise.race([exited, grace])) === 'late') signalGroup(pid, 'SIGKILL');
  graceOver.abort();
  await exited;
  // Whatever the leader left behind in its group.
  signalGroup(pid, 'SIGKILL');
}

/** False when no process of the group is left. */
function signalGroup(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(-pid, signal);
  } catch {
    return false;
  }
}
