import type { SAGA_STATES } from '../publisher/saga/index.ts';
import { storableText } from '../shared/storable.ts';
import { decodeCursor, encodeCursor } from '../shared/storage/cursor.ts';
import type { SqlClient } from '../shared/storage/sql-client.ts';

/** An order among many. Times are RFC 3339. Who placed it is personal, and not told. */
export interface OrderSummary {
  readonly orderKey: string;
  readonly sagaId: string;
  readonly state: (typeof SAGA_STATES)[number];
  /** Where its saga is, when it waits, compensates or is stuck. */
  readonly step: string | undefined;
  readonly reason: string | undefined;
  readonly domain: string;
  /** In minor units of the currency. */
  readonly amountMinor: number;
  readonly currency: string;
  readonly itemsCount: number;
  readonly placedAt: string;
  readonly endedAt: string | undefined;
}

export interface OrderPage {
  readonly orders: readonly OrderSummary[];
  /** Where the next page begins; undefined: this is the last one. */
  readonly next: string | undefined;
}

export interface ListOrdersOptions {
  readonly states?: readonly string[] | undefined;
  readonly domain?: string | undefined;
  /** `next` of the page before. */
  readonly after?: string | undefined;
  /** Default 100. */
  readonly limit?: number;
}

interface Row {
  readonly order_key: string;
  readonly saga_id: string;
  readonly state: OrderSummary['state'];
  readonly step: string | null;
  readonly reason: string | null;
  readonly domain: string;
  readonly amount_minor: number;
  readonly currency: string;
  readonly items_count: number;
  readonly placed_at: Date;
  readonly ended_at: Date | null;
}

/** Orders, the newest first: by their sagas' ids, which are ordered by time. Errors: CursorError, DatabaseUnavailableError. */
export async function listOrders(
  client: SqlClient,
  { states, domain, after, limit = 100 }: ListOrdersOptions = {},
): Promise<OrderPage> {
  const values: unknown[] = [limit + 1];
  const [afterId] = after === undefined ? [] : decodeCursor(after, 1);
  const conditions = [
    states && `state = ANY($${values.push(states)}::text[])`,
    domain !== undefined && `domain = $${values.push(storableText(domain))}`,
    afterId !== undefined && `saga_id < $${values.push(afterId)}`,
  ].filter((condition) => typeof condition === 'string');
  const where = conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : '';
  const { rows } = await client.query<Row & Record<string, unknown>>(
    `SELECT o.order_key, saga_id, state, step, reason, domain, amount_minor, currency, items_count, placed_at, ended_at
     FROM shop.customer_order o JOIN throughline.saga s ON s.id = o.saga_id ${where} ORDER BY saga_id DESC LIMIT $1`,
    values,
  );
  const last = rows.length > limit ? rows[limit - 1] : undefined;
  return { orders: rows.slice(0, limit).map(summaryOf), next: last && encodeCursor([last.saga_id]) };
}

function summaryOf(row: Row): OrderSummary {
  return {
    orderKey: row.order_key,
    sagaId: row.saga_id,
    state: row.state,
    step: row.step ?? undefined,
    reason: row.reason ?? undefined,
    domain: row.domain,
    amountMinor: row.amount_minor,
    currency: row.currency,
    itemsCount: row.items_count,
    placedAt: row.placed_at.toISOString(),
    endedAt: row.ended_at?.toISOString(),
  };
}
