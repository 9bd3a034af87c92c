import type { Command } from 'commander';
import { fenceDocument } from '../console/fence-document.ts';
import type { Fence } from '../shared/fence/fence.ts';
import { listFences } from '../shared/fence/operate.ts';
import { printJson, printLine, printTable } from './output.ts';
import { readLimit } from './saga-list.ts';
import { withDatabase } from './session.ts';

const DEFAULT_LIMIT = 50;

interface ListOptions {
  readonly all?: boolean;
  readonly limit: number;
  readonly json?: boolean;
}

/** `throughline fence list` */
export function addFenceList(fence: Command): void {
  fence
    .command('list')
    .description('the fences that stand, the oldest first')
    .option('--all', 'lifted ones too, the newest first')
    .option('--limit <n>', 'with --all: how many at most, up to 10000', readLimit, DEFAULT_LIMIT)
    .option('--json', 'print one JSON document')
    .addHelpText('after', HELP)
    .action(fenceList);
}

const HELP = `
Examples:
  $ throughline fence list
  $ throughline fence list --all --limit 10 --json`;

async function fenceList({ all = false, limit, json = false }: ListOptions): Promise<void> {
  const fences = await withDatabase({ purpose: 'read' }, (database) =>
    listFences(database, { includeLifted: all, limit }),
  );
  if (json) return printJson({ fences: fences.map(fenceDocument) });
  if (fences.length === 0) return printLine(all ? 'There are no fences.' : 'No fence stands.');
  printTable(
    [
      'FENCE',
      'ACTION',
      'JOB',
      'CAMPAIGN',
      'ORDER',
      'ADDED',
      'BY',
      ...(all ? ['LIFTED', 'BY'] : []),
      'REASON',
    ],
    fences.map((fence) => rowOf(fence, all)),
  );
  if (all && fences.length === limit) console.error(`There may be more than these ${limit}: see --limit.`);
}

function rowOf({ id, action, target, addedAt, actor, lifted, reason }: Fence, all: boolean) {
  const { job, campaign, orderKey } = target;
  const lift = all ? [lifted?.at, lifted?.actor] : [];
  return [id, action, job, campaign, orderKey, addedAt, actor, ...lift, reason];
}
