import { createInterface } from 'node:readline';
import { DeclinedError, UsageError } from './failure.ts';

export interface Asking {
  readonly input: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  /** Not stdout: that belongs to the command's result. */
  readonly output: NodeJS.WritableStream;
}

/** Errors: UsageError when there is nobody to ask. */
export function assertAskable(command: string, { input }: Pick<Asking, 'input'>): void {
  if (input.isTTY) return;
  throw new UsageError(`${command} asks before it acts, and there is no terminal to ask on; say --yes`);
}

/** Errors: DeclinedError unless the answer is yes. The end of the input, and an interrupt, mean no. */
export async function confirm(question: string, { input, output }: Asking): Promise<void> {
  const lines = createInterface({ input, output });
  const answer = await new Promise<string>((resolve) => {
    lines.on('close', () => resolve(''));
    lines.question(`${question} [y/N] `, resolve);
  });
  lines.close();
  if (!/^y(es)?$/i.test(answer.trim())) throw new DeclinedError('nothing was done');
}
