import { humaniseMs } from './duration.ts';
import { printable, widthOf } from './printable.ts';
import type { Mark } from './span-marks.ts';
import type { TreeLine } from './tree-order.ts';

/** What one span shows, as printable text, before the columns are laid out. */
export interface Row {
  readonly branch: string;
  /** What stands in the branch's place on a line that continues this row. */
  readonly rail: string;
  readonly name: string;
  readonly service: string;
  readonly duration: string;
  readonly marks: readonly Mark[];
  readonly isError: boolean;
}

export function rowOf(line: TreeLine, next: TreeLine | undefined, marks: readonly Mark[]): Row {
  const { span } = line.node;
  const rails = railsOf(line);
  const hasChildren = next?.above === line;
  const branch = line.depth === 0 ? '' : line.isFollowed ? '├─ ' : '└─ ';
  return {
    branch: `${rails.slice(0, -1).join('')}${branch}`,
    rail: `${rails.join('')}${hasChildren ? '│' : ''}`,
    name: printable(span.name),
    service: printable(span.service),
    duration: humaniseMs(span.endMs - span.startMs),
    marks,
    isError: marks.some(({ kind }) => kind === 'error'),
  };
}

/** More levels than these are never drawn. */
const MAX_RAILS = 100;

function railsOf(line: TreeLine): readonly string[] {
  const rails: string[] = [];
  for (let at: TreeLine | undefined = line; at?.above && rails.length < MAX_RAILS; at = at.above) {
    rails.push(at.isFollowed ? '│  ' : '   ');
  }
  return rails.reverse();
}

/** Very deep: the last branches tell more than the first ones, and the name (16 columns of it) more than both. */
export function fitBranch(branch: string, treeWidth: number): string {
  const excess = widthOf(branch) - Math.max(0, treeWidth - 16);
  return excess <= 0 ? branch : `…${[...branch].slice(excess + 1).join('')}`;
}
