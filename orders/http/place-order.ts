import { randomUUID } from 'node:crypto';
import { linkToSaga, type SagaEngine } from '../../publisher/saga/index.ts';
import { uuidV7 } from '../../publisher/saga/uuid-v7.ts';
import { ProblemError } from '../../shared/http/problem.ts';
import type { Database } from '../../shared/storage/database.ts';
import type { Order } from '../order.ts';
import type { OrderSaga } from '../saga.ts';
import { findByIdempotencyKey, findOrder, hashOf, insertOrder } from '../storage/orders.ts';

export interface PlaceOrderDependencies {
  readonly database: Database;
  readonly engine: SagaEngine;
  readonly saga: OrderSaga;
}

export interface Placement {
  readonly order: Order & { readonly orderKey: string };
  readonly sagaId: string;
  readonly idempotencyKey: string | undefined;
  /** Of the request as it came, before an order key was made. */
  readonly requestHash: string;
  /** Settles when the request has been answered. */
  readonly answered: Promise<unknown>;
  /** Called before a new order is committed; what it throws undoes everything. */
  readonly onStored: () => void;
}

/** Makes an order key for a request that brought none. */
export function identify(order: Order, idempotencyKey: string | undefined) {
  const orderKey = order.orderKey ?? `O-${randomUUID()}`;
  return { order: { ...order, orderKey }, sagaId: uuidV7(), idempotencyKey, requestHash: hashOf(order) };
}

/**
 * Stores the order and begins its saga in one transaction, so that there is never one without the other.
 *
 * Shape:  the key of the order, which for a repeated idempotency key is the first request's.
 * Errors: ProblemError when order key or idempotency key were used for something else; DatabaseUnavailableError.
 */
export async function placeOrder(
  { database, engine, saga }: PlaceOrderDependencies,
  { order, sagaId, idempotencyKey, requestHash, answered, onStored }: Placement,
): Promise<{ readonly orderKey: string; readonly isNew: boolean }> {
  const { orderKey } = order;
  const isNew = await database.transaction(async (tx) => {
    if (!(await insertOrder(tx, { order, sagaId, idempotencyKey, requestHash }))) return false;
    await engine.begin(saga, order, { sagaId, orderKey, tx, after: answered });
    onStored();
    return true;
  });
  if (isNew) return { orderKey, isNew };
  const known =
    idempotencyKey === undefined ? undefined : await findByIdempotencyKey(database, idempotencyKey);
  if (known && known.request_hash === requestHash) {
    await linkToSaga(database, known.saga_id);
    return { orderKey: known.order_key, isNew: false };
  }
  if (known)
    throw new ProblemError(422, 'idempotency-key-reused', 'the idempotency key was used for another order');
  const taken = await findOrder(database, orderKey);
  throw new ProblemError(409, 'order-key-taken', 'there is an order with this order key already', {
    detail: taken ? `placed at ${taken.placed_at.toISOString()}` : orderKey,
  });
}
