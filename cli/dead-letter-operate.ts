import type { Command } from 'commander';
import { printable } from '../insight/printable.ts';
import type { Database } from '../shared/storage/database.ts';
import {
  type BulkOptions,
  type BulkReport,
  countDeadLetters,
  type LetterFilter,
  type LetterReceipt,
  readDeadLetter,
} from '../subscriber/index.ts';
import { systemUser } from './actor.ts';
import { assertAskable, confirm } from './confirm.ts';
import { addFilterOptions, type FilterOptions, filterOf, readCount } from './dead-letter-filter.ts';
import { EXIT, UsageError } from './failure.ts';
import { stopsOnInterrupt } from './interrupt.ts';
import { printJson, printLine } from './output.ts';
import { withDatabase } from './session.ts';

export interface LetterOptions extends FilterOptions {
  readonly all?: boolean;
  readonly limit?: number;
  readonly rate?: number;
  readonly reason?: string;
  readonly actor?: string;
  readonly yes?: boolean;
  readonly json?: boolean;
}

export type BulkAsked = Pick<BulkOptions, 'filter' | 'limit' | 'signal' | 'onLetter' | 'actor' | 'via'>;

export interface LetterCommand {
  readonly name: 'redrive' | 'drop';
  /** `redriven` */
  readonly done: string;
  /** What the question says of one letter, and of many. */
  readonly question: string;
  readonly one: (
    database: Database,
    options: { readonly letterId: string; readonly actor: string; readonly via: 'cli' },
    given: LetterOptions,
  ) => Promise<LetterReceipt>;
  readonly many: (database: Database, options: BulkAsked, given: LetterOptions) => Promise<BulkReport>;
}

/** What `dead-letter redrive` and `dead-letter drop` have in common. */
export function addLetterCommand(command: Command, letterCommand: LetterCommand): Command {
  return addFilterOptions(
    command.argument('[letter]', "one letter's id; without it, all open ones of a filter"),
  )
    .option('--all', 'all open letters, without any filter')
    .option('--limit <n>', 'at most so many', readCount(10_000_000))
    .option('--actor <name>', 'who does it (default: the user of the operating system)')
    .option('--yes', 'do not ask')
    .option('--json', 'print one JSON document')
    .action((letterId: string | undefined, options: LetterOptions) => run(letterCommand, letterId, options));
}

async function run(
  command: LetterCommand,
  letterId: string | undefined,
  options: LetterOptions,
): Promise<void> {
  const filter = chosen(command, letterId, options);
  if (!options.yes) assertAskable(`dead-letter ${command.name}`, { input: process.stdin });
  const { actor = systemUser() } = options;
  await withDatabase({ purpose: 'act' }, async (database) => {
    if (letterId !== undefined) return one(command, database, { ...options, letterId, actor });
    return many(command, database, { ...options, filter, actor });
  });
}

/** Errors: UsageError unless it is clear which letters are meant. */
function chosen({ name }: LetterCommand, letterId: string | undefined, options: LetterOptions): LetterFilter {
  const filter = filterOf(options);
  if (letterId !== undefined && (filter || options.all || options.limit !== undefined))
    throw new UsageError(`dead-letter ${name}: give a letter's id or a filter, not both`);
  if (letterId === undefined && !filter && !options.all)
    throw new UsageError(`dead-letter ${name}: give a letter's id, a filter, or --all`);
  return filter ?? {};
}

async function one(
  command: LetterCommand,
  database: Database,
  options: LetterOptions & { readonly letterId: string; readonly actor: string },
): Promise<void> {
  const { letterId, actor, reason, yes = false, json = false } = options;
  if (!yes) await askOne(command, database, letterId);
  const receipt = await command.one(database, { letterId, actor, via: 'cli' }, options);
  if (json) return printJson({ ...receipt, action: command.name, actor, reason });
  const { jobId, jobType = 'of no type', topic, traceId } = receipt;
  const to = command.name === 'redrive' ? `, to ${topic}` : '';
  printLine(printable(`Dead letter ${letterId} (job ${jobId}, ${jobType}): ${command.done}${to}.`));
  if (traceId !== undefined) printLine(`Trace ${traceId}`);
}

/** Without a question when there is a refusal to come. */
async function askOne({ question }: LetterCommand, database: Database, letterId: string): Promise<void> {
  const letter = await readDeadLetter(database, letterId);
  if (letter?.state !== 'open') return;
  const { jobId, jobType = 'of no type', orderKey = 'no order', reason } = letter;
  const facts = printable(`Dead letter ${letterId} (job ${jobId}, ${jobType}, ${orderKey}): ${reason}`);
  await confirm(`${facts}\n${question}`, { input: process.stdin, output: process.stderr });
}

async function many(
  command: LetterCommand,
  database: Database,
  options: LetterOptions & { readonly filter: LetterFilter; readonly actor: string },
): Promise<void> {
  const { filter, limit, actor, reason, yes = false, json = false } = options;
  if (!yes) {
    const letters = await countDeadLetters(database, { ...filter, states: ['open'] });
    const meant = Math.min(letters, limit ?? letters);
    const ask = `${meant} dead ${meant === 1 ? 'letter' : 'letters'}. ${command.question}`;
    if (meant > 0) await confirm(ask, { input: process.stdin, output: process.stderr });
  }
  const stopping = stopsOnInterrupt();
  const report = await command.many(
    database,
    { filter, limit, actor, via: 'cli', signal: stopping.signal, onLetter: createProgress(command) },
    options,
  );
  stopping.end();
  const refusals = Object.entries(report.refused);
  if (json) printJson({ ...report, action: command.name, actor, reason });
  else printReport(command, report);
  if (refusals.length > 0 || report.isStopped) process.exitCode = EXIT.failure;
}

function printReport({ done }: LetterCommand, { settled, refused, isStopped, traceId }: BulkReport): void {
  printLine(`${settled} ${settled === 1 ? 'letter was' : 'letters were'} ${done}.`);
  for (const [code, letters] of Object.entries(refused)) printLine(`${letters} left as they are: ${code}`);
  if (isStopped) printLine('Interrupted: the rest is left as it is; the same command goes on with it.');
  if (traceId !== undefined) printLine(`Trace ${traceId}`);
}

/** Says on stderr which letters were refused, and every so often how far it is. */
function createProgress({ done }: LetterCommand): NonNullable<BulkOptions['onLetter']> {
  let settled = 0;
  let toldMs = performance.now();
  return (result) => {
    if ('refusal' in result) return console.error(printable(result.refusal.message));
    settled += 1;
    if (performance.now() - toldMs < PROGRESS_EVERY_MS) return;
    toldMs = performance.now();
    console.error(`${settled} ${done} …`);
  };
}

const PROGRESS_EVERY_MS = 5_000;
