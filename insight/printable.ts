import { stripVTControlCharacters } from 'node:util';

/**
 * Text that is safe to print in one cell of a terminal: whoever sends spans chooses their names, and must not be
 * able to move the cursor, colour the screen or break the line.
 */
export function printable(text: string): string {
  return stripVTControlCharacters(text).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ');
}

/** How many columns a text takes, counting a code point as one: enough for aligning names. */
export function widthOf(text: string): number {
  return [...text].length;
}

export function clip(text: string, width: number): string {
  return widthOf(text) <= width ? text : `${[...text].slice(0, Math.max(0, width - 1)).join('')}…`;
}
