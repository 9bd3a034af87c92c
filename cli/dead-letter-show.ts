import type { Command } from 'commander';
import { letterDocument } from '../console/letter-document.ts';
import { printable } from '../insight/printable.ts';
import { type LetterView, readDeadLetter, UnknownDeadLetterError } from '../subscriber/index.ts';
import { printJson, printLine, printTable } from './output.ts';
import { payloadLines } from './payload-print.ts';
import { withDatabase } from './session.ts';

/** `throughline dead-letter show ID` */
export function addDeadLetterShow(deadLetter: Command): void {
  deadLetter
    .command('show')
    .description('one dead letter: why it died, its attributes and its payload')
    .argument('<letter>', "the letter's id")
    .option('--json', 'print one JSON document, with the whole payload')
    .addHelpText(
      'after',
      '\nExample:\n  $ throughline dead-letter show 3f1c0a5e9b7d42c68e1f0a2b4c6d8e90\n  $ throughline dead-letter show 3f1c0a5e9b7d42c68e1f0a2b4c6d8e90 --json | jq .payload',
    )
    .action(deadLetterShow);
}

async function deadLetterShow(
  letterId: string,
  { json = false }: { readonly json?: boolean },
): Promise<void> {
  const letter = await withDatabase({ purpose: 'read' }, (database) => readDeadLetter(database, letterId));
  if (!letter) throw new UnknownDeadLetterError(letterId);
  if (json) printJson(letterDocument(letter));
  else printLetter(letter);
}

function printLetter(letter: LetterView): void {
  for (const [label, value] of facts(letter))
    if (value !== undefined) printLine(`${label.padEnd(13)}${printable(String(value))}`);
  printLine('');
  printTable(['ATTRIBUTE', 'VALUE'], Object.entries(letter.attributes));
  printLine('');
  for (const line of payloadLines(letter.data)) printLine(line);
  if (letter.state === 'open')
    printLine(`\nNext: throughline dead-letter redrive|drop ${printable(letter.letterId)}`);
}

function facts(letter: LetterView): [string, string | number | undefined][] {
  const { state, settledAt, settledBy, settledReason, traceId } = letter;
  const settled = settledAt && `${settledAt}, by ${settledBy}${settledReason ? `: ${settledReason}` : ''}`;
  return [
    ['letter', letter.letterId],
    ['state', state],
    [state, settled],
    ['reason', letter.reason],
    ['error', letter.errorType],
    ['given up by', letter.givenUpBy === 'pubsub' ? 'Pub/Sub' : letter.givenUpBy],
    ['tries', letter.attempts],
    ['job', letter.jobId],
    ['type', letter.jobType],
    ['order', letter.orderKey],
    ['saga', letter.sagaId],
    ['topic', letter.topic],
    ['subscription', letter.subscription],
    ['message', letter.messageId],
    ['ordering key', letter.orderingKey],
    ['published', letter.publishedAt],
    ['died', letter.diedAt],
    ['stored', letter.keptAt],
    ['trace', traceId],
  ];
}
