import { writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { type Command, Option } from 'commander';
import { type Change, compareProfiles, ProfilesDifferError } from '../insight/profile/compare.ts';
import { flameData } from '../insight/profile/flame-data.ts';
import { flamePage } from '../insight/profile/flame-page.ts';
import { DIMENSIONS, type Dimension } from '../insight/profile/totals.ts';
import { UsageError } from './failure.ts';
import { printJson, printLine, printTable } from './output.ts';
import { readProfile } from './profile-file.ts';
import { describeProfile, formatAmount, formatShare, unitOf } from './profile-print.ts';
import { readLimit } from './profile-show.ts';

interface DiffOptions {
  readonly by?: Dimension;
  readonly per?: string;
  readonly limit: number;
  readonly flame?: string;
  readonly json?: boolean;
}

/** `throughline profile diff` */
export function addProfileDiff(profile: Command): void {
  profile
    .command('diff')
    .description('what changed from one profile to another, as between two releases')
    .argument('<before>', 'a pprof file')
    .argument('<after>', 'another one, of the same kind')
    .addOption(new Option('--by <what>', 'only this table').choices(DIMENSIONS))
    .option('--per <span>', 'divide by how many of these spans ended, for instance "POST /orders"')
    .option('--limit <n>', 'rows of a table, 1 to 10000', readLimit, 15)
    .option('--flame <path>', 'write a flame graph of the difference, as HTML')
    .option('--json', 'print one JSON document')
    .addHelpText('after', HELP)
    .action(profileDiff);
}

const HELP = `
Shares of the whole are compared, for the load may differ; EACH is what one span took (an attempt of a step, a delivery of a
job, or one of --per), and RATIO how that has changed. The largest change of share comes first, in either direction.
Functions count with what they took themselves.

Examples:
  $ throughline profile diff v1.cpu.pb.gz v2.cpu.pb.gz
  $ throughline profile diff v1.cpu.pb.gz v2.cpu.pb.gz --by function --per "POST /orders" --flame diff.html`;

async function profileDiff(
  before: string,
  after: string,
  { by, per, limit, flame, json = false }: DiffOptions,
): Promise<void> {
  const [a, b] = [await readProfile(before), await readProfile(after)];
  const tables = usable(() =>
    (by ? [by] : DIMENSIONS).map((one) => ({ by: one, changes: compareProfiles(a, b, { by: one, per }) })),
  );
  const title = `${basename(before)} → ${basename(after)}`;
  if (flame !== undefined) await writeFile(flame, flamePage(usable(() => flameData(title, b, a))));
  if (json) {
    const documents = tables.map(({ by: one, changes }) => [one, changes.slice(0, limit)]);
    return printJson({ before, after, per, unit: unitOf(a), ...Object.fromEntries(documents) });
  }
  printLine(describeProfile(before, a));
  printLine(describeProfile(after, b));
  for (const { by: one, changes } of tables) {
    if (by === undefined && changes.every(({ name }) => name === '(none)')) continue;
    printLine('');
    printTable(
      ['BEFORE', 'AFTER', 'CHANGE', 'EACH BEFORE', 'EACH AFTER', 'RATIO', one.toUpperCase()],
      changes.slice(0, limit).map((change) => rowOf(change, unitOf(a))),
    );
    if (changes.length > limit) printLine(`and ${changes.length - limit} more (--limit)`);
  }
  if (flame !== undefined) printLine(`\n${flame}: the difference as a flame graph`);
}

function rowOf({ name, before, after, shareChange, perUnitRatio }: Change, unit: string) {
  const each = (value: number | undefined) => (value === undefined ? undefined : formatAmount(value, unit));
  return [
    formatShare(before.share),
    formatShare(after.share),
    `${shareChange > 0 ? '+' : ''}${(shareChange * 100).toFixed(1)}`,
    each(before.perUnit),
    each(after.perUnit),
    perUnitRatio?.toFixed(2),
    name,
  ];
}

function usable<Result>(compare: () => Result): Result {
  try {
    return compare();
  } catch (error) {
    if (error instanceof ProfilesDifferError)
      throw new UsageError(`profile diff: ${error.message}`, { cause: error });
    throw error;
  }
}
