import { type Command, InvalidArgumentError } from 'commander';
import { listOrders, type OrderSummary } from '../orders/list-orders.ts';
import { SAGA_STATES } from '../publisher/saga/index.ts';
import { priceOf } from './order-print.ts';
import { printJson, printLine, printTable } from './output.ts';
import { readLimit } from './saga-list.ts';
import { withDatabase } from './session.ts';

const DEFAULT_LIMIT = 50;

interface ListOptions {
  readonly state?: readonly string[];
  readonly domain?: string;
  readonly after?: string;
  readonly limit: number;
  readonly json?: boolean;
}

/** `throughline order list` */
export function addOrderList(order: Command): void {
  order
    .command('list')
    .description(
      'orders, the newest first; from the database, because the order service shows each to its owner only',
    )
    .option('--state <states>', `only these, joined by commas: ${SAGA_STATES.join(', ')}`, readStates)
    .option('--domain <name>', 'only those for one domain')
    .option('--limit <n>', 'how many at most, up to 10000', readLimit, DEFAULT_LIMIT)
    .option('--after <place>', 'the next page: what the page before gave as its end')
    .option('--json', 'print one JSON document')
    .addHelpText('after', HELP)
    .action(orderList);
}

const HELP = `
Examples:
  $ throughline order list --state stuck,compensating
  $ throughline order list --domain shop.example --limit 10 --json`;

async function orderList({ state, domain, after, limit, json = false }: ListOptions): Promise<void> {
  const page = await withDatabase({ purpose: 'read' }, (database) =>
    listOrders(database, { states: state, domain, after, limit }),
  );
  if (json) return printJson(page);
  if (page.orders.length === 0) return printLine('There are no such orders.');
  printTable(['ORDER', 'STATE', 'STEP', 'DOMAIN', 'PRICE', 'PLACED', 'REASON'], page.orders.map(rowOf));
  if (page.next !== undefined) console.error(`There are more; the next page: --after ${page.next}`);
}

function rowOf(order: OrderSummary): (string | undefined)[] {
  const { orderKey, state, step, domain, placedAt, reason } = order;
  return [orderKey, state, step, domain, priceOf(order), placedAt, reason];
}

function readStates(text: string): string[] {
  const states = text.split(',').map((state) => state.trim());
  const unknown = states.filter((state) => !SAGA_STATES.some((known) => known === state));
  if (unknown.length === 0) return states;
  throw new InvalidArgumentError(`There is no state "${unknown.join('", "')}".`);
}
