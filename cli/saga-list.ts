import { type Command, InvalidArgumentError } from 'commander';
import { listSagas, SAGA_STATES, type SagaSummary } from '../publisher/saga/index.ts';
import { printJson, printLine, printTable } from './output.ts';
import { withDatabase } from './session.ts';

const STATES: readonly string[] = SAGA_STATES;
const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 10_000;

interface ListOptions {
  readonly state?: readonly string[];
  readonly order?: string;
  readonly parked?: boolean;
  readonly limit: number;
  readonly json?: boolean;
}

/** `throughline saga list` */
export function addSagaList(saga: Command): void {
  saga
    .command('list')
    .description('sagas, the newest first')
    .option('--state <states>', `only these, joined by commas: ${STATES.join(', ')}`, readStates)
    .option('--order <key>', 'only those of one order')
    .option('--parked', 'only those that no process runs')
    .option('--limit <n>', `how many at most, up to ${MAX_LIMIT}`, readLimit, DEFAULT_LIMIT)
    .option('--json', 'print one JSON document')
    .addHelpText('after', HELP)
    .action(sagaList);
}

const HELP = `
Examples:
  $ throughline saga list --state stuck
  $ throughline saga list --order O-1042 --json
  $ throughline saga list --state running,waiting --limit 10`;

async function sagaList({ state, order, parked = false, limit, json = false }: ListOptions): Promise<void> {
  const sagas = await withDatabase({ purpose: 'read' }, (database) =>
    listSagas(database, {
      limit,
      parked,
      ...(state && { states: state }),
      ...(order !== undefined && { orderKey: order }),
    }),
  );
  if (json) return printJson({ sagas });
  if (sagas.length === 0) return printLine('There are no such sagas.');
  printTable(['SAGA', 'ORDER', 'NAME', 'STATE', 'STEP', 'STARTED', 'REASON'], sagas.map(rowOf));
  if (sagas.length === limit) console.error(`There may be more than these ${limit}: see --limit.`);
}

function rowOf(saga: SagaSummary): (string | undefined)[] {
  const { sagaId, orderKey, name, state, step, startedAt, reason, parked } = saga;
  return [
    sagaId,
    orderKey,
    name,
    state,
    step,
    startedAt,
    parked === undefined ? reason : `parked: ${parked}`,
  ];
}

function readStates(text: string): string[] {
  const states = text.split(',').map((state) => state.trim());
  const unknown = states.filter((state) => !STATES.includes(state));
  if (unknown.length === 0) return states;
  throw new InvalidArgumentError(`There is no state "${unknown.join('", "')}".`);
}

export function readLimit(text: string): number {
  const limit = Number(text);
  if (/^\d+$/.test(text) && limit >= 1 && limit <= MAX_LIMIT) return limit;
  throw new InvalidArgumentError(`It must be a number from 1 to ${MAX_LIMIT}.`);
}
