import { type Ended, runToEnd } from '../support/child-process.ts';

/** Runs the command line as its own process, with nothing on its input. */
export function throughline(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  return runToEnd(process.execPath, ['cli/main.ts', ...args], { env });
}

/** The one line that a failed command says, without the program's name. */
export function complaint({ stderr }: Ended): string {
  const [line = '', ...more] = stderr.trimEnd().split('\n');
  if (more.length > 0 || !line.startsWith('throughline: '))
    throw new Error(`expected one line, got:\n${stderr}`);
  return line.slice('throughline: '.length);
}
