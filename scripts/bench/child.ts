import { spawn } from 'node:child_process';

export interface BenchChildOptions {
  /** File of the child's main module. */
  readonly main: string;
  /** Given as JSON, the only argument. */
  readonly assignment: unknown;
  /** Shown when it fails. */
  readonly name: string;
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

/** A contender, or a part of one, in a process of its own. It sends words on its way, and one object: its result. */
export interface BenchChild<Result> {
  /** Resolves when it says this. Rejects when it ends before. */
  says(word: string): Promise<void>;
  tell(word: string): void;
  /** Shape: the next object that it sends. */
  ask<Answer>(question: string | object): Promise<Answer>;
  readonly result: Promise<Result>;
  /** May be called twice. Resolves when it has ended. */
  stop(): Promise<void>;
}

export function startBenchChild<Result>(options: BenchChildOptions): BenchChild<Result> {
  const child = spawn(
    process.execPath,
    [...(options.flags ?? []), options.main, JSON.stringify(options.assignment)],
    {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      serialization: 'advanced', // numbers that JSON has no word for
      timeout: options.timeoutMs,
      ...(options.env && { env: { ...process.env, ...options.env } }),
    },
  );
  const ended = new Promise<string>((resolve) => {
    // 'close', not 'exit': what it said last is read before.
    child.once('close', (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
  const died = ended.then((how) => Promise.reject(new Error(`${options.name} ended: ${how}`)));
  died.catch(() => {});
  const message = (isWanted: (said: unknown) => boolean) => {
    const said = new Promise<unknown>((resolve) => {
      const listener = (one: unknown) => {
        if (!isWanted(one)) return;
        child.off('message', listener);
        resolve(one);
      };
      child.on('message', listener);
    });
    const first = Promise.race([said, died]);
    first.catch(() => {});
    return first;
  };
  return {
    async says(word) {
      await message((said) => said === word);
    },
    tell: (word) => child.send(word),
    ask<Answer>(question: string | object) {
      const answer = message((said) => typeof said === 'object') as Promise<Answer>;
      child.send(question);
      return answer;
    },
    result: message((said) => typeof said === 'object') as Promise<Result>,
    async stop() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** In the child: resolves when the bench says this. */
export function told(word: string): Promise<void> {
  return new Promise((resolve) => {
    const listener = (message: unknown) => {
      if (message !== word) return;
      process.off('message', listener);
      resolve();
    };
    process.on('message', listener);
  });
}
