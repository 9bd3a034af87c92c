import { type Ended, type RunOptions, runToEnd } from '../support/child-process.ts';

/** Runs the command line as its own process, with nothing on its input unless something is given. */
export function throughline(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  options: Pick<RunOptions, 'input' | 'timeoutMs'> = {},
): Promise<Ended> {
  return runToEnd(process.execPath, ['cli/main.ts', ...args], { env, ...options });
}

/** The same on what it takes for a terminal of 100 columns, where somebody types this. */
export function throughlineOnTerminal(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  typed: string,
): Promise<Ended> {
  return runToEnd(process.execPath, ['--import', AS_TERMINAL, 'cli/main.ts', ...args], { env, input: typed });
}

const AS_TERMINAL = `data:text/javascript,${encodeURIComponent(
  'process.stdin.isTTY = process.stdout.isTTY = true; process.stdout.columns = 100;',
)}`;

/** The one line that a failed command says, without the program's name. */
export function complaint({ stderr }: Ended): string {
  const [line = '', ...more] = stderr.trimEnd().split('\n');
  if (more.length > 0 || !line.startsWith('throughline: '))
    throw new Error(`expected one line, got:\n${stderr}`);
  return line.slice('throughline: '.length);
}
