import { arch, cpus, platform, totalmem } from 'node:os';
import type { Summary } from './statistics.ts';

/** What a benchmark found; printed as a table, and with `--json` as one object on the last line. */
export interface BenchResult {
  readonly bench: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly figures: Readonly<Record<string, Summary>>;
  readonly ratios: Readonly<Record<string, Summary>>;
  /** What is and what is not measured, for the reader of the table. */
  readonly notes: readonly string[];
}

export function printResult(result: BenchResult, json: boolean): void {
  console.log(table('ratio', result.ratios));
  console.log(table('figure', result.figures));
  for (const note of result.notes) console.log(note);
  if (json) console.log(JSON.stringify(toJson(result)));
}

function table(title: string, rows: Readonly<Record<string, Summary>>): string {
  const cells = Object.entries(rows).map(([name, summary]) => [
    name,
    format(summary.median),
    `${format(summary.min)} … ${format(summary.max)}`,
  ]);
  const all = [[title, 'median', 'min … max'], ...cells];
  const widths = [0, 1, 2].map((column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  const lines = all.map(([name = '', median = '', spread = '']) =>
    `${name.padEnd(widths[0] ?? 0)}  ${median.padStart(widths[1] ?? 0)}  ${spread}`.trimEnd(),
  );
  return `\n${lines.join('\n')}\n`;
}

function format(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function toJson({ bench, versions, figures, ratios }: BenchResult) {
  const spread = Object.fromEntries(
    Object.entries({ ...figures, ...ratios }).map(([name, { min, max }]) => [name, [min, max]]),
  );
  return { bench, machine: machine(), versions, figures: medians(figures), ratios: medians(ratios), spread };
}

function medians(rows: Readonly<Record<string, Summary>>): Record<string, number> {
  return Object.fromEntries(Object.entries(rows).map(([name, { median }]) => [name, median]));
}

function machine() {
  const [cpu] = cpus();
  const gib = Math.round(totalmem() / 2 ** 30);
  return {
    platform: `${platform()}-${arch()}`,
    cpu: cpu?.model ?? 'unknown',
    cores: cpus().length,
    memory_gib: gib,
  };
}
