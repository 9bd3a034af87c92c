import { type Command, InvalidArgumentError, Option } from 'commander';
import { DIMENSIONS, type Dimension, type Total, totalsOf, wholeOf } from '../insight/profile/totals.ts';
import type { Profile } from '../shared/profile/pprof.ts';
import { printJson, printLine, printTable } from './output.ts';
import { readProfile } from './profile-file.ts';
import { describeProfile, formatAmount, formatShare, unitOf } from './profile-print.ts';

interface ShowOptions {
  readonly by?: Dimension;
  readonly limit: number;
  readonly json?: boolean;
}

/** `throughline profile show` */
export function addProfileShow(profile: Command): void {
  profile
    .command('show')
    .description('what took most, by function, span, step and job')
    .argument('<file>', 'a pprof file')
    .addOption(new Option('--by <what>', 'only this table').choices(DIMENSIONS))
    .option('--limit <n>', 'rows of a table, 1 to 10000', readLimit, 15)
    .option('--json', 'print one JSON document')
    .addHelpText('after', HELP)
    .action(profileShow);
}

const HELP = `
SELF is what a function took itself, TOTAL with all that it called. For spans ENDED says how many of them ended meanwhile
(attempts of a step, deliveries of a job), and EACH what one of them took. A dash: there is no number.

Examples:
  $ throughline profile show order-worker.cpu.pb.gz
  $ throughline profile show order-worker.cpu.pb.gz --by step --json`;

async function profileShow(file: string, { by, limit, json = false }: ShowOptions): Promise<void> {
  const profile = await readProfile(file);
  const tables = (by ? [by] : DIMENSIONS).map((one) => ({ by: one, rows: totalsOf(profile, one) }));
  const whole = wholeOf(profile);
  if (json) {
    const of = ({ rows }: (typeof tables)[number]) => rows.slice(0, limit);
    const measured = profile.valueTypes.at(-1);
    const documents = Object.fromEntries(tables.map((table) => [table.by, of(table)]));
    return printJson({ file, type: measured?.type, unit: measured?.unit, whole, ...documents });
  }
  printLine(describeProfile(file, profile));
  for (const { by: one, rows } of tables) {
    const isEmpty = one !== 'function' && rows.every(({ name }) => name === '(none)');
    if (isEmpty && by === undefined) continue; // a profile of somebody else's, or of a process without jobs
    printLine('');
    printTable(...tableOf(one, rows.slice(0, limit), { profile, whole }));
    if (rows.length > limit) printLine(`and ${rows.length - limit} more (--limit)`);
  }
}

function tableOf(
  by: Dimension,
  rows: readonly Total[],
  { profile, whole }: { readonly profile: Profile; readonly whole: number },
): [string[], (string | number | undefined)[][]] {
  const amount = (value: number) => formatAmount(value, unitOf(profile));
  const share = (value: number) => formatShare(whole === 0 ? 0 : value / whole);
  if (by === 'function')
    return [
      ['SELF', 'SHARE', 'TOTAL', 'SHARE', 'FUNCTION'],
      rows.map(({ name, self, total }) => [amount(self), share(self), amount(total), share(total), name]),
    ];
  return [
    ['TOTAL', 'SHARE', 'ENDED', 'EACH', by.toUpperCase()],
    rows.map(({ name, total, ended }) => [
      ...[amount(total), share(total), ended],
      ended ? amount(total / ended) : undefined,
      name,
    ]),
  ];
}

export function readLimit(text: string): number {
  const limit = Number(text);
  if (Number.isInteger(limit) && limit >= 1 && limit <= 10_000) return limit;
  throw new InvalidArgumentError('It must be a number from 1 to 10000.');
}
