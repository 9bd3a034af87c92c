import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { exitOf } from './child-process.ts';
import type { Image } from './image.ts';
import { findProgram } from './prometheus.ts';

/** A command of the image, run as a container would run it: in its folder, with nothing in its environment but what is said. */
export interface Container {
  /** What it has said so far, on both outputs. */
  said(): string;
  /** The exit code; null when it had to be killed. */
  readonly exited: Promise<number | null>;
  /** `docker stop`: the image's signal, and SIGKILL after `graceMs`. Shape: the exit code; null when it came to that. */
  stop(graceMs: number): Promise<number | null>;
}

export interface ContainerOptions {
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

/** Nobody's user and group: what the image's own user may do, and no more. */
const UNPRIVILEGED = '65534';

/** Whether commands run as PID 1 of a namespace, and as an unprivileged user; it takes root, and Linux' own programs. */
export const isIsolated = canIsolate();

export function startContainer(image: Image, { command, environment }: ContainerOptions): Container {
  const [program, ...args] = command;
  if (program !== 'node') throw new Error(`the image has no ${program}`);
  const child = spawnWithin([image.node, ...args], image, environment);
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  const exited = exitOf(child);
  return {
    said: () => said,
    exited,
    async stop(graceMs) {
      if (child.exitCode !== null || child.signalCode !== null) return exited;
      signal(child, image.stopSignal);
      const late = setTimeout(() => child.kill('SIGKILL'), graceMs); // --kill-child ends what is inside
      return exited.finally(() => clearTimeout(late));
    },
  };
}

function spawnWithin(
  command: readonly string[],
  image: Image,
  own: Readonly<Record<string, string>>,
): ChildProcess {
  const isolation = [
    ...['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'],
    ...['setpriv', `--reuid=${UNPRIVILEGED}`, `--regid=${UNPRIVILEGED}`, '--clear-groups', '--no-new-privs'],
  ];
  const [file = '', ...args] = isIsolated ? [...isolation, ...command] : command;
  // What the image has no say in: where its `node` is, and that Google's client shall look for no cloud around this machine.
  const PATH = `${join(image.node, '..')}:/usr/bin:/bin`;
  const env = { PATH, METADATA_SERVER_DETECTION: 'none', ...image.environment, ...own };
  return spawn(file, args, { cwd: image.folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Sent to the process itself, not to `unshare`, which stands where a container engine does. */
function signal(child: ChildProcess, name: string): void {
  const [inner] = isIsolated
    ? readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim().split(' ').map(Number)
    : [child.pid];
  if (inner) process.kill(inner, name);
}

function canIsolate(): boolean {
  const isPossible = userInfo().uid === 0 && findProgram('unshare') && findProgram('setpriv');
  if (!isPossible) return false;
  try {
    execFileSync('unshare', ['--pid', '--fork', '--mount-proc', 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false; // a container that may make no namespaces
  }
}
