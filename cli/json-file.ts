import { readFile } from 'node:fs/promises';
import { UsageError } from './failure.ts';

/** Above this it is no definition of anything, in bytes. */
const MAX_BYTES = 4_000_000;

/** Reads JSON from a file, or from the standard input (`-`). Errors: UsageError, which says where in the file. */
export async function readJsonFile(path: string): Promise<unknown> {
  const name = path === '-' ? 'standard input' : path;
  const text = (path === '-' ? await readInput(name) : await readText(path)).replace(/^\uFEFF/, '');
  if (text.trim() === '') throw new UsageError(`${name}: expected JSON, and there is nothing`);
  try {
    return JSON.parse(text);
  } catch (cause) {
    const fault = findJsonFault(text);
    if (!fault) throw new UsageError(`${name}: expected JSON`, { cause });
    const { line, column } = positionOf(text, fault.offset);
    throw new UsageError(`${name}: line ${line}, column ${column}: expected ${fault.expected}`, { cause });
  }
}

async function readText(path: string): Promise<string> {
  try {
    const bytes = await readFile(path);
    if (bytes.length > MAX_BYTES) throw new UsageError(`${path}: expected at most ${MAX_BYTES} bytes`);
    return bytes.toString('utf8');
  } catch (error) {
    if (error instanceof UsageError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    const why = WHY[code ?? ''] ?? code ?? 'it cannot be read';
    throw new UsageError(`${path}: ${why}`, { cause: error });
  }
}

const WHY: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'it may not be read',
  EISDIR: 'expected a file, and it is a folder',
};

async function readInput(name: string): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BYTES) throw new UsageError(`${name}: expected at most ${MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

export interface JsonFault {
  /** In UTF-16 code units, from 0. */
  readonly offset: number;
  readonly expected: string;
}

const SPACE = /[ \t\r\n]*/y;
const STRING = /"[ !#-[\]-\uffff]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[ !#-[\]-\uffff]*)*"/y;
const SCALAR = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;

/** What may come next, in words. */
const VALUE = 'a value';
const FIRST_VALUE = 'a value or "]"';
const NAME = 'a name in double quotes';
const FIRST_NAME = 'a name in double quotes or "}"';
const COLON = '":"';
const AFTER_MEMBER = '"," or "}"';
const AFTER_ITEM = '"," or "]"';
const END = 'the end of the file';

/**
 * Where a text stops being JSON; JavaScript's own messages say it only sometimes, and only in words.
 *
 * Shape: undefined when it is JSON.
 * Source: RFC 8259.
 */
export function findJsonFault(text: string): JsonFault | undefined {
  const open: ('{' | '[')[] = [];
  const take = (pattern: RegExp): boolean => {
    pattern.lastIndex = offset;
    const found = pattern.exec(text);
    offset += found?.[0].length ?? 0;
    return found !== null;
  };
  const afterValue = () => {
    const around = open.at(-1);
    if (around === undefined) return END;
    return around === '{' ? AFTER_MEMBER : AFTER_ITEM;
  };
  let offset = 0;
  let expected = VALUE;
  for (;;) {
    take(SPACE);
    const char = text[offset];
    if (char === undefined) return expected === END ? undefined : { offset, expected };
    const isValueDue = expected === VALUE || expected === FIRST_VALUE;
    const isNameDue = expected === NAME || expected === FIRST_NAME;
    const closes =
      (char === '}' && (expected === FIRST_NAME || expected === AFTER_MEMBER)) ||
      (char === ']' && (expected === FIRST_VALUE || expected === AFTER_ITEM));
    if (closes) {
      open.pop();
      offset += 1;
      expected = afterValue();
    } else if (isValueDue && (char === '{' || char === '[')) {
      open.push(char);
      offset += 1;
      expected = char === '{' ? FIRST_NAME : FIRST_VALUE;
    } else if (isValueDue && (take(STRING) || take(SCALAR))) expected = afterValue();
    else if (isNameDue && take(STRING)) expected = COLON;
    else if (expected === COLON && char === ':') {
      offset += 1;
      expected = VALUE;
    } else if (char === ',' && (expected === AFTER_MEMBER || expected === AFTER_ITEM)) {
      offset += 1;
      expected = expected === AFTER_MEMBER ? NAME : VALUE;
    } else return { offset, expected };
  }
}

/** Both from 1. */
function positionOf(text: string, offset: number): { readonly line: number; readonly column: number } {
  const before = text.slice(0, offset).split(/\r\n|\n|\r/);
  return { line: before.length, column: [...(before.at(-1) ?? '')].length + 1 };
}
