import {
  describeProgress,
  readOutline,
  readSaga,
  type Saga,
  type SagaOutline,
  type SagaView,
} from '../publisher/saga/index.ts';
import type { SqlClient } from '../shared/storage/sql-client.ts';
import type { OrderView } from './http/schemas.ts';
import { challengeSchema } from './saga.ts';
import { findOrder, type OrderRow } from './storage/orders.ts';

/**
 * What became of an order so far: its row, and its saga step by step, by a definition of `sagas` or else by what the engines
 * have stored of theirs. Errors: none; undefined when there is none.
 */
export async function viewOrder(
  client: SqlClient,
  sagas: readonly Saga[],
  orderKey: string,
): Promise<OrderView | undefined> {
  const row = await findOrder(client, orderKey);
  const saga = row && (await readSaga(client, row.saga_id));
  if (!row || !saga) return undefined;
  const definition = sagas.find(({ name, version }) => name === saga.name && version === saga.version);
  return describeOrder(row, saga, definition ?? (await readOutline(client, saga)));
}

function describeOrder(row: OrderRow, saga: SagaView, definition: Saga | SagaOutline | undefined): OrderView {
  const { steps, waitingFor } = describeProgress(saga, definition);
  const self = `/orders/${encodeURIComponent(row.order_key)}`;
  const view = {
    orderKey: row.order_key,
    sagaId: saga.sagaId,
    state: saga.state as OrderView['state'],
    reason: saga.reason,
    domain: row.domain,
    amountMinor: row.amount_minor,
    currency: row.currency,
    itemsCount: row.items_count,
    placedAt: row.placed_at.toISOString(),
    endedAt: saga.endedAt,
    traceId: saga.traceId,
    action: waitingFor && challengeOf(waitingFor),
    steps: steps.map(({ traceId: _, compensation: { traceId: __, ...compensation }, ...step }) => ({
      ...step,
      compensation,
    })),
    links: { self, events: `${self}/events` },
  };
  return JSON.parse(JSON.stringify(view)) as OrderView; // without the fields that are undefined
}

function challengeOf({ data, deadline }: { readonly data: unknown; readonly deadline: string }) {
  const challenge = challengeSchema.safeParse(data);
  if (!challenge.success) return undefined;
  return { kind: '3-d-secure' as const, url: challenge.data.challengeUrl, expiresAt: deadline };
}
