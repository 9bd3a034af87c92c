import { humaniseMs } from '../insight/duration.ts';
import { printable } from '../insight/printable.ts';
import type { OrderView } from '../orders/http/schemas.ts';
import { formatTable, printLine } from './output.ts';

export type OrderStep = OrderView['steps'][number];

/** `EUR 13.60, 2 users` */
export function priceOf(order: Pick<OrderView, 'amountMinor' | 'currency' | 'itemsCount'>): string {
  const { amountMinor, currency, itemsCount } = order;
  return `${currency} ${(amountMinor / 100).toFixed(2)}, ${itemsCount} ${itemsCount === 1 ? 'user' : 'users'}`;
}

/** An order for people: its facts and its steps. */
export function printOrder(order: OrderView, width?: number): void {
  for (const line of orderLines(order, width)) printLine(line);
}

/** Each fits on a line of a terminal so wide. */
export function orderLines(order: OrderView, width?: number): string[] {
  const facts = orderFacts(order).flatMap(([label, value]) =>
    value === undefined ? [] : `${label.padEnd(12)}${printable(value)}`,
  );
  const steps = formatTable(
    ['STEP', 'STATUS', 'TRIES', 'TOOK', 'COMPENSATION', 'DETAIL'],
    order.steps.map(stepRow),
    width,
  );
  return [...facts, '', ...steps];
}

function orderFacts(order: OrderView): [string, string | undefined][] {
  const { action } = order;
  return [
    ['order', order.orderKey],
    ['saga', order.sagaId],
    ['state', order.state],
    ['reason', order.reason],
    ['domain', order.domain],
    ['price', priceOf(order)],
    ['placed', order.placedAt],
    ['ended', order.endedAt],
    ['trace', order.traceId],
    ['3-D Secure', action && `until ${action.expiresAt}: ${action.url}`],
  ];
}

function stepRow(step: OrderStep): (string | number | undefined)[] {
  const { name, status, attempts, startedAt, endedAt, error, compensation } = step;
  const tookMs = startedAt && endedAt ? Date.parse(endedAt) - Date.parse(startedAt) : undefined;
  const failed = compensation.error ?? error;
  return [
    ...[name, status, attempts || undefined],
    tookMs === undefined ? undefined : humaniseMs(tookMs),
    compensation.status === 'none' ? undefined : compensation.status,
    failed && `${failed.type}: ${failed.message}`,
  ];
}
