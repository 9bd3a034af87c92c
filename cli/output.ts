import { toJson } from '../console/document.ts';
import { clip, printable, widthOf } from '../insight/printable.ts';

/** Not console.log, which hides it when nothing can be written (main.ts). */
export function printLine(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** One JSON document for programs: a field that has no value is null, so that every field is always there. */
export function printJson(document: unknown): void {
  printLine(toJson(document, 2));
}

/** One of several documents, each on a line of its own. */
export function printJsonLine(document: unknown): void {
  printLine(toJson(document));
}

/** For people. On a terminal the last column is cut to fit; elsewhere nothing is. */
export function printTable(
  headings: readonly string[],
  rows: readonly (readonly (string | number | undefined)[])[],
): void {
  for (const line of formatTable(headings, rows, process.stdout.isTTY ? process.stdout.columns : undefined))
    printLine(line);
}

/** Lines of aligned columns, without spaces at their ends. A cell that has no value is a dash. */
export function formatTable(
  headings: readonly string[],
  rows: readonly (readonly (string | number | undefined)[])[],
  width = Number.POSITIVE_INFINITY,
): string[] {
  const cells = [headings, ...rows].map((row) =>
    row.map((cell) => printable(cell === undefined || cell === '' ? '-' : String(cell))),
  );
  const widths = headings.map((_, column) => Math.max(...cells.map((row) => widthOf(row[column] ?? ''))));
  return cells.map((row) => {
    const padded = row.map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - widthOf(cell)));
    return clip(padded.join('  ').trimEnd(), width);
  });
}
