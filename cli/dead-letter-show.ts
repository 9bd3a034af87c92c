import { isUtf8 } from 'node:buffer';
import type { Command } from 'commander';
import { printable } from '../insight/printable.ts';
import { type LetterView, readDeadLetter, UnknownDeadLetterError } from '../subscriber/index.ts';
import { printJson, printLine, printTable } from './output.ts';
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
  if (!json) return printLetter(letter);
  const { data, ...facts } = letter;
  const text = textOf(data);
  printJson({ ...facts, payload: jsonOf(text), payloadText: text, payloadBase64: data.toString('base64') });
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

const SHOWN_CHARS = 4_000;
const SHOWN_BYTES = 256;

/** JSON is indented; text of other kinds is shown as it is; anything else as bytes. */
function payloadLines(data: Buffer): string[] {
  const text = textOf(data);
  if (text === undefined) return [`${data.byteLength} bytes, not text:`, ...hexLines(data)];
  const json = jsonOf(text);
  const lines = (json === undefined ? text : JSON.stringify(json, undefined, 2))
    .slice(0, SHOWN_CHARS)
    .split('\n');
  const hasMore = data.byteLength > SHOWN_CHARS;
  return [
    `${data.byteLength} bytes, ${json === undefined ? 'text, not JSON' : 'JSON'}:`,
    ...lines.map(
      (line) => `  ${line.search(/\S/) > 0 ? ' '.repeat(line.search(/\S/)) : ''}${printable(line.trim())}`,
    ),
    ...(hasMore ? ['  … see --json for all of it'] : []),
  ];
}

function hexLines(data: Buffer): string[] {
  const shown = data.subarray(0, SHOWN_BYTES);
  const lines: string[] = [];
  for (let at = 0; at < shown.byteLength; at += 16) {
    const row = shown.subarray(at, at + 16);
    const hex = [...row].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const ascii = [...row]
      .map((byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : '.'))
      .join('');
    lines.push(`  ${at.toString(16).padStart(8, '0')}  ${hex.padEnd(47)}  ${ascii}`);
  }
  if (data.byteLength > SHOWN_BYTES) lines.push('  … see --json for all of it');
  return lines;
}

/** Undefined: it is not text. NUL is no part of a text either. */
function textOf(data: Buffer): string | undefined {
  return isUtf8(data) && !data.includes(0) ? data.toString('utf8') : undefined;
}

function jsonOf(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}
