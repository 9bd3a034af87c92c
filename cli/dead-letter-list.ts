import { type Command, InvalidArgumentError } from 'commander';
import { LETTER_STATES, type LetterState, type LetterSummary, listDeadLetters } from '../subscriber/index.ts';
import { addFilterOptions, type FilterOptions, filterOf, readCount } from './dead-letter-filter.ts';
import { printJson, printLine, printTable } from './output.ts';
import { withDatabase } from './session.ts';

const DEFAULT_LIMIT = 50;

interface ListOptions extends FilterOptions {
  readonly state: readonly LetterState[];
  readonly limit: number;
  readonly json?: boolean;
}

/** `throughline dead-letter list` */
export function addDeadLetterList(deadLetter: Command): void {
  addFilterOptions(deadLetter.command('list'))
    .description('dead letters, the newest death first')
    .option('--state <states>', `only these, joined by commas: ${LETTER_STATES.join(', ')}`, readStates, [
      'open',
    ])
    .option('--limit <n>', 'how many at most, up to 10000', readCount(10_000), DEFAULT_LIMIT)
    .option('--json', 'print one JSON document')
    .addHelpText('after', HELP)
    .action(deadLetterList);
}

const HELP = `
Examples:
  $ throughline dead-letter list
  $ throughline dead-letter list --type workspace.set-up.v1 --since 24h
  $ throughline dead-letter list --order O-1042 --state open,redriven,dropped --json`;

async function deadLetterList({ state, limit, json = false, ...filters }: ListOptions): Promise<void> {
  const letters = await withDatabase({ purpose: 'read' }, (database) =>
    listDeadLetters(database, { ...filterOf(filters), states: state }, { limit }),
  );
  if (json) return printJson({ deadLetters: letters });
  if (letters.length === 0) return printLine('There are no such dead letters.');
  printTable(['LETTER', 'STATE', 'DIED', 'TYPE', 'ORDER', 'JOB', 'TRIES', 'REASON'], letters.map(rowOf));
  if (letters.length === limit) console.error(`There may be more than these ${limit}: see --limit.`);
}

function rowOf(letter: LetterSummary): (string | number | undefined)[] {
  const { letterId, state, diedAt, jobType, orderKey, jobId, attempts, reason } = letter;
  return [letterId, state, diedAt, jobType, orderKey, jobId, attempts, reason];
}

function readStates(text: string): LetterState[] {
  const states = text.split(',').map((state) => state.trim());
  const unknown = states.filter((state) => !LETTER_STATES.some((known) => known === state));
  if (unknown.length === 0) return LETTER_STATES.filter((known) => states.includes(known));
  throw new InvalidArgumentError(`There is no state "${unknown.join('", "')}".`);
}
