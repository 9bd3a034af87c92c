import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { ThroughlineError } from '../../shared/index.ts';

/** A process of the system, started from one of its main files. */
export interface Child<Ready> {
  readonly pid: number;
  /** What it said when it was ready. */
  readonly ready: Ready;
  /** Resolves when it has ended, however. Shape: the exit code; null when a signal ended it. */
  readonly exited: Promise<number | null>;
  /** Rejects when it ends although nobody here ended it. Never resolves. */
  readonly died: Promise<never>;
  /** SIGKILL, as a crash would; then waits. */
  kill(): Promise<void>;
  /** SIGTERM, then waits. May be called twice. */
  stop(): Promise<void>;
}

export interface ChildOptions {
  /** Path of the main file from the repository's root. */
  readonly main: string;
  readonly args?: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** Its log and its output go here; unset: only the end of the log is kept, for the message when it dies. */
  readonly onLog?: ((text: string) => void) | undefined;
}

/** A process of the system ended by itself, or never got ready; the message has the last that it said. */
export class ProcessEndedError extends ThroughlineError {
  override readonly name = 'ProcessEndedError';
  readonly code = 'PROCESS_ENDED';
}

/** A second or two is usual; several that start side by side on a busy machine have taken half a minute. */
const START_TIMEOUT_MS = 120_000;
const STOP_TIMEOUT_MS = 40_000;
const KEPT_OUTPUT_CHARS = 4_000;

/** Resolves once the process says that it is ready. Errors: what it printed, when it does not get there. */
export async function startChild<Ready = object>(options: ChildOptions): Promise<Child<Ready>> {
  const path = fileURLToPath(new URL(`../../${options.main}`, import.meta.url));
  const child = spawn(process.execPath, [path, ...(options.args ?? [])], {
    env: options.env,
    stdio: ['ignore', options.onLog ? 'pipe' : 'ignore', 'pipe', 'ipc'],
  });
  child.stdout?.setEncoding('utf8').on('data', (text: string) => options.onLog?.(text));
  const output = followOutput(child, options.onLog);
  let isWanted = true;
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
  const died = exited.then(() =>
    isWanted ? Promise.reject(failure(options.main, child, output())) : new Promise<never>(() => {}),
  );
  died.catch(() => {});
  const ready = await Promise.race([readiness<Ready>(child, options.main), died]).catch((error) => {
    child.kill('SIGKILL');
    throw error;
  });
  const end = async (signal: 'SIGTERM' | 'SIGKILL') => {
    isWanted = false;
    child.kill(signal);
    const hard = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await exited;
    clearTimeout(hard);
  };
  return {
    pid: child.pid ?? 0,
    ready,
    exited,
    died,
    kill: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
  };
}

function readiness<Ready>(child: ChildProcess, main: string): Promise<Ready> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(
      () => reject(new ProcessEndedError(`${main} was not ready after ${START_TIMEOUT_MS} ms`)),
      START_TIMEOUT_MS,
    );
    child.once('exit', () => clearTimeout(late));
    child.once('message', (message) => {
      clearTimeout(late);
      resolve(message as Ready);
    });
  });
}

function followOutput(child: ChildProcess, onLog: ((text: string) => void) | undefined): () => string {
  let kept = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    kept = (kept + text).slice(-KEPT_OUTPUT_CHARS);
    onLog?.(text);
  });
  return () => kept.trim();
}

function failure(main: string, { exitCode, signalCode }: ChildProcess, output: string): ProcessEndedError {
  return new ProcessEndedError(
    `${main} ended (${signalCode ?? `exit code ${exitCode}`})${output && `:\n${output}`}`,
  );
}
