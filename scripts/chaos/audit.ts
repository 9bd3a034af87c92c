import { judgeLedger } from '../../emulator/partners/judge.ts';
import { findDisconnections } from '../../insight/index.ts';
import type { OrderView } from '../../orders/http/schemas.ts';
import type { SqlClient } from '../../shared/storage/sql-client.ts';
import { ledgerProblems } from '../demo/verdict.ts';
import type { Experience } from './customer.ts';
import type { House } from './house.ts';

/** What became of the orders. All but the first list what is wrong, a sentence each; an order counts once in each. */
export interface Findings {
  readonly orders: number;
  readonly confirmed: number;
  readonly compensated: number;
  /** Accepted and not there; ended without an effect that belongs to it, or with one that should have been undone. */
  readonly lost: readonly string[];
  readonly doubled: readonly string[];
  readonly disconnected: readonly string[];
  /** Neither ended nor visibly stuck or parked. */
  readonly silent: readonly string[];
  /** Stuck or parked, and visible to operators: allowed, and counted. */
  readonly stuck: readonly string[];
}

interface Row {
  readonly order_key: string;
  readonly state: OrderView['state'] | null;
  readonly step: string | null;
  readonly reason: string | null;
  readonly parked: string | null;
  readonly has_ended: boolean;
  readonly jobs: number;
}

/** Each order with its saga, and how many of its jobs are not finished. */
async function readOrders(client: SqlClient): Promise<Row[]> {
  const { rows } = await client.query<Row & Record<string, unknown>>(`
    SELECT o.order_key, s.state, s.step, s.reason, s.parked, s.ended_at IS NOT NULL AS has_ended,
      (SELECT count(*)::int FROM throughline.outbox x WHERE x.order_key = o.order_key) AS jobs
    FROM shop.customer_order o LEFT JOIN throughline.saga s ON s.id = o.saga_id ORDER BY o.placed_at`);
  return rows;
}

function isVisible({ state, parked }: Row): boolean {
  return state === 'stuck' || parked !== null;
}

/** Whether everything that can come to an end has. Errors: DatabaseUnavailableError. */
export async function isSettled(client: SqlClient): Promise<boolean> {
  const rows = await readOrders(client);
  return rows.every((row) => isVisible(row) || (row.has_ended && row.jobs === 0));
}

export async function audit(house: House, customers: readonly Experience[]): Promise<Findings> {
  const rows = await readOrders(house.database);
  const known = new Map(rows.map((row) => [row.order_key, row]));
  const ledger = judgeLedger(await house.sandbox.effects());
  const missing = customers.filter(({ orderKey, isAccepted }) => isAccepted && !known.has(orderKey));
  const complaints = customers.flatMap(({ complaint }) => complaint ?? []);
  const effects = Map.groupBy(await house.sandbox.effects(), ({ orderKey }) => orderKey);
  const lost = rows.flatMap((row) => {
    if (row.state === null) return [`${row.order_key} has no saga`];
    if (!row.has_ended || isVisible(row)) return [];
    const own = effects.get(row.order_key) ?? [];
    const doubles = new Set(ledger.orders.get(row.order_key)?.doubles);
    const problems = ledgerProblems(row.state, own).filter((problem) => !doubles.has(problem));
    if (row.jobs > 0) problems.push(`${row.jobs} of its jobs never finished`);
    return problems.length > 0 ? [`${row.order_key} (${row.state}): ${problems.join('; ')}`] : [];
  });
  return {
    orders: customers.length,
    confirmed: rows.filter(({ state }) => state === 'confirmed').length,
    compensated: rows.filter(({ state }) => state === 'compensated').length,
    lost: [
      ...missing.map(({ orderKey }) => `${orderKey} was accepted and is not there`),
      ...complaints,
      ...lost,
    ],
    doubled: [...ledger.orders.values()].flatMap(({ doubles }) =>
      doubles.length > 0 ? doubles.join('; ') : [],
    ),
    disconnected: rows.flatMap(({ order_key }) => disconnection(house, order_key) ?? []),
    silent: rows.filter((row) => !row.has_ended && !isVisible(row)).map(describe),
    stuck: rows.filter((row) => !row.has_ended && isVisible(row)).map(describe),
  };
}

/** Shape: a sentence, or undefined when the order's spans hang together. */
export function disconnection({ store }: Pick<House, 'store'>, orderKey: string): string | undefined {
  const found = findDisconnections(store.byOrder(orderKey), orderKey);
  const [first] = found;
  return first && `${orderKey}: ${found.length} problem(s), the first: ${first.kind}: ${first.message}`;
}

function describe({ order_key, state, step, reason, parked }: Row): string {
  return `${order_key} is ${state} at ${step ?? 'no step'}${parked ? `, parked: ${parked}` : ''}${reason ? ` (${reason})` : ''}`;
}
