import { styleText } from 'node:util';
import { clip, widthOf } from './printable.ts';
import { jobsWithSeveralAttempts, type Mark, marksOf } from './span-marks.ts';
import type { SpanRecord } from './span-record.ts';
import { buildTraceGraph } from './trace-graph.ts';
import { treeLines } from './tree-order.ts';
import { fitBranch, type Row, rowOf } from './tree-row.ts';

export interface TreeOptions {
  /** Writes ANSI colours, whatever the output is: the caller knows where the text goes. Default false. */
  readonly color?: boolean;
  /** Columns to stay within; marks keep at least 20 of them. Default 100; less than 80 counts as 80. */
  readonly width?: number;
}

/**
 * Spans as a tree for people: branches, service, duration, and what is worth a mark (attempts, errors, links).
 *
 * A link into another trace is a mark with the target's name. Marks that find no room go to lines of their own.
 */
export function renderTree(spans: readonly SpanRecord[], options: TreeOptions = {}): string {
  const graph = buildTraceGraph(spans);
  const severalAttempts = jobsWithSeveralAttempts(graph);
  const lines = treeLines(graph);
  const rows = lines.map((line, index) => rowOf(line, lines[index + 1], marksOf(line.node, severalAttempts)));
  const layout = layoutOf(rows, Math.max(80, options.width ?? 100));
  const paint: Paint = options.color ? colour : plain;
  return rows.flatMap((row) => renderRow(row, layout, paint)).join('\n');
}

interface Layout {
  readonly treeWidth: number;
  readonly serviceWidth: number;
  readonly durationWidth: number;
  readonly marksWidth: number;
}

const GAP = 2;

function layoutOf(rows: readonly Row[], width: number): Layout {
  const widest = (text: (row: Row) => string) =>
    rows.reduce((most, row) => Math.max(most, widthOf(text(row))), 0);
  // A name may take half of the room, a service a fifth: a few long ones shall not push the marks off the screen.
  const treeWidth = Math.min(
    widest((row) => row.branch + row.name),
    Math.floor(width / 2),
  );
  const serviceWidth = Math.min(
    widest((row) => row.service),
    Math.floor(width / 5),
  );
  const durationWidth = widest((row) => row.duration);
  const marksWidth = Math.max(20, width - treeWidth - serviceWidth - durationWidth - 3 * GAP);
  return { treeWidth, serviceWidth, durationWidth, marksWidth };
}

function renderRow(row: Row, layout: Layout, paint: Paint): readonly string[] {
  const { treeWidth, serviceWidth, durationWidth, marksWidth } = layout;
  const branch = fitBranch(row.branch, treeWidth);
  const name = clip(row.name, treeWidth - widthOf(branch));
  const service = clip(row.service, serviceWidth);
  const cells = [
    paint('branch', branch) + paint(row.isError ? 'error' : 'name', name) + pad(branch + name, treeWidth),
    paint('service', service) + pad(service, serviceWidth),
    pad(row.duration, durationWidth) + paint('duration', row.duration),
  ];
  const [first = '', ...rest] = wrapMarks(row.marks, marksWidth).map((line) =>
    line.map(({ kind, text }) => paint(kind, text)).join('  '),
  );
  const rail = fitBranch(row.rail, treeWidth);
  const indent = paint('branch', rail) + pad(rail, treeWidth + serviceWidth + durationWidth + 3 * GAP);
  return [[...cells, first].join(' '.repeat(GAP)).trimEnd(), ...rest.map((line) => indent + line)];
}

function pad(text: string, width: number): string {
  return ' '.repeat(Math.max(0, width - widthOf(text)));
}

function wrapMarks(marks: readonly Mark[], width: number): readonly (readonly Mark[])[] {
  const lines: Mark[][] = [];
  let room = 0;
  for (const { kind, text } of marks) {
    const mark = { kind, text: clip(text, width) };
    const needed = widthOf(mark.text) + GAP;
    const line = lines.at(-1);
    if (line && needed <= room) line.push(mark);
    else lines.push([mark]);
    room = line && needed <= room ? room - needed : width - needed + GAP;
  }
  return lines;
}

type Paint = (what: Mark['kind'] | 'branch' | 'name' | 'service' | 'duration', text: string) => string;

const COLOURS = {
  error: ['red', 'bold'],
  attempt: ['yellow'],
  link: ['cyan'],
  note: ['magenta'],
  branch: ['gray'],
  name: ['bold'],
  service: ['blue'],
  duration: ['gray'],
} as const;

const plain: Paint = (_, text) => text;

/** Without the stream check: `color` was asked for, and the text may go elsewhere than to standard output. */
const colour: Paint = (what, text) =>
  text === '' ? text : styleText([...COLOURS[what]], text, { validateStream: false });
