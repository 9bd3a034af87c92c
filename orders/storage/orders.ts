import { hash } from 'node:crypto';
import type { Transaction } from '../../shared/storage/database.ts';
import type { SqlClient } from '../../shared/storage/sql-client.ts';
import { CURRENCY, type Order, totalsOf } from '../order.ts';

/** An order as it was placed; what became of it is its saga's. */
export interface OrderRow {
  readonly order_key: string;
  readonly saga_id: string;
  readonly domain: string;
  readonly amount_minor: number;
  readonly currency: string;
  readonly items_count: number;
  readonly placed_at: Date;
  readonly request_hash: string;
}

export interface NewOrder {
  readonly order: Order & { readonly orderKey: string };
  readonly sagaId: string;
  readonly idempotencyKey: string | undefined;
  readonly requestHash: string;
}

const COLUMNS = 'order_key, saga_id, domain, amount_minor, currency, items_count, placed_at, request_hash';

/** Shape: false when there is an order with this key or this idempotency key already; waits for one under way. */
export async function insertOrder(tx: Transaction, row: NewOrder): Promise<boolean> {
  const { order, sagaId, idempotencyKey, requestHash } = row;
  const { amountMinor, itemsCount } = totalsOf(order);
  const { rowCount } = await tx.query(
    `INSERT INTO shop.customer_order
       (order_key, saga_id, idempotency_key, request_hash, domain, email, amount_minor, currency, items_count)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING`,
    [
      order.orderKey,
      sagaId,
      idempotencyKey ?? null,
      requestHash,
      order.domain,
      order.email,
      amountMinor,
      CURRENCY,
      itemsCount,
    ],
  );
  if (rowCount !== 1) return false;
  await tx.query('INSERT INTO shop.customer (email) VALUES ($1) ON CONFLICT DO NOTHING', [order.email]);
  return true;
}

export async function findOrder(client: SqlClient, orderKey: string): Promise<OrderRow | undefined> {
  const { rows } = await client.query<OrderRow & Record<string, unknown>>(
    `SELECT ${COLUMNS} FROM shop.customer_order WHERE order_key = $1`,
    [orderKey],
  );
  return rows[0];
}

export async function findByIdempotencyKey(client: SqlClient, key: string): Promise<OrderRow | undefined> {
  const { rows } = await client.query<OrderRow & Record<string, unknown>>(
    `SELECT ${COLUMNS} FROM shop.customer_order WHERE idempotency_key = $1`,
    [key],
  );
  return rows[0];
}

/** What tells two requests with one idempotency key apart. */
export function hashOf(order: unknown): string {
  return hash('sha256', JSON.stringify(order), 'hex').slice(0, 32);
}

export async function confirmOrder(tx: Transaction, orderKey: string): Promise<void> {
  await tx.query('UPDATE shop.customer_order SET confirmed_at = now() WHERE order_key = $1', [orderKey]);
}

export interface NewContract {
  readonly sagaId: string;
  readonly order: { readonly orderKey: string };
  readonly accountId: string;
}

export async function createContract(
  tx: Transaction,
  { sagaId, order, accountId }: NewContract,
): Promise<{ readonly contractId: string }> {
  await tx.query('INSERT INTO shop.contract (saga_id, order_key, account_id) VALUES ($1, $2, $3)', [
    sagaId,
    order.orderKey,
    accountId,
  ]);
  return { contractId: sagaId };
}

export async function deleteContract(tx: Transaction, sagaId: string): Promise<void> {
  await tx.query('DELETE FROM shop.contract WHERE saga_id = $1', [sagaId]);
}
