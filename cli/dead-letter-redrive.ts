import { type Command, InvalidArgumentError } from 'commander';
import { createMessageOutbox } from '../publisher/index.ts';
import { redriveDeadLetter, redriveDeadLetters } from '../subscriber/index.ts';
import { addLetterCommand } from './dead-letter-operate.ts';

const DEFAULT_RATE = 10;
const MAX_RATE = 1_000;

/** `throughline dead-letter redrive [ID]` */
export function addDeadLetterRedrive(deadLetter: Command): void {
  const command = deadLetter
    .command('redrive')
    .description(
      'send dead jobs again, under their ids and with fresh attempts; one, or all open ones of a filter',
    )
    .option('--reason <text>', 'why; kept with the action')
    .option('--rate <n>', `letters per second, up to ${MAX_RATE}`, readRate, DEFAULT_RATE)
    .addHelpText('after', HELP);
  addLetterCommand(command, {
    name: 'redrive',
    done: 'redriven',
    question: 'Send the job again, which may have effects outside?',
    one: (database, options, { reason }) =>
      redriveDeadLetter(database, createMessageOutbox({ database }), { ...options, reason }),
    many: (database, options, { reason, rate = DEFAULT_RATE }) =>
      redriveDeadLetters(database, createMessageOutbox({ database }), {
        ...options,
        reason,
        perSecond: rate,
      }),
  });
}

const HELP = `
A running relay sends what was redriven. A job that was cancelled is never revived.

Examples:
  $ throughline dead-letter redrive 3f1c0a5e9b7d42c68e1f0a2b4c6d8e90
  $ throughline dead-letter redrive --type workspace.set-up.v1 --since 24h --rate 5 --yes
  $ throughline dead-letter redrive --error PARTNER_UNAVAILABLE --reason "the directory is back" --json --yes`;

function readRate(text: string): number {
  const rate = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && rate >= 0.001 && rate <= MAX_RATE) return rate;
  throw new InvalidArgumentError(`It must be a number above 0, at most ${MAX_RATE}.`);
}
