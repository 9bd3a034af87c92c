import type { Command } from 'commander';
import { dropDeadLetter, dropDeadLetters } from '../subscriber/index.ts';
import { addLetterCommand } from './dead-letter-operate.ts';

/** `throughline dead-letter drop [ID]` */
export function addDeadLetterDrop(deadLetter: Command): void {
  const command = deadLetter
    .command('drop')
    .description('leave dead jobs dead for good; one, or all open ones of a filter')
    .requiredOption('--reason <text>', 'why; kept with the letter and the action')
    .addHelpText('after', HELP);
  addLetterCommand(command, {
    name: 'drop',
    done: 'dropped',
    question: 'Leave the job dead for good? It cannot be redriven any more.',
    one: (database, options, { reason = '' }) => dropDeadLetter(database, { ...options, reason }),
    many: (database, options, { reason = '' }) => dropDeadLetters(database, { ...options, reason }),
  });
}

const HELP = `
Examples:
  $ throughline dead-letter drop 3f1c0a5e9b7d42c68e1f0a2b4c6d8e90 --reason "a test, ticket 4711"
  $ throughline dead-letter drop --type note.keep.v1 --until 7d --reason "nobody needs these any more" --yes`;
