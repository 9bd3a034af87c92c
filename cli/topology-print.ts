import { printable } from '../insight/printable.ts';
import { formatChange, type TopologyChange, wayOut } from '../shared/index.ts';
import { printLine } from './output.ts';

/** A change for programs. */
export function changeDocument(change: TopologyChange) {
  return { ...change, advice: wayOut(change) };
}

export function printChanges(changes: readonly TopologyChange[]): void {
  if (changes.length === 0) printLine('Everything is as declared.');
  for (const change of changes) {
    printLine(printable(formatChange(change)));
    const advice = wayOut(change);
    if (advice !== undefined) printLine(printable(`    ${advice}`));
  }
}
