import { clip, printable } from '../insight/printable.ts';
import type { OrderView } from '../orders/http/schemas.ts';
import { type OrderStep, orderLines } from './order-print.ts';

export interface Screen {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** Shows an order as it changes: on a terminal in place, elsewhere a line for each event, or a document. */
export function createOrderScreen(
  screen: Screen,
  { json }: { readonly json: boolean },
): (order: OrderView) => void {
  if (json) return (order) => void screen.write(`${JSON.stringify(order)}\n`);
  return screen.isTTY ? inPlace(screen) : asLines(screen);
}

/** Over what was shown before. The address of the bank's page stays above it, whole: lines of what is shown again are cut. */
function inPlace(screen: Screen): (order: OrderView) => void {
  let shown = 0;
  let address: string | undefined;
  return (order) => {
    const { action } = order;
    const isNew = action !== undefined && action.url !== address;
    address = action?.url;
    const lines = orderLines({ ...order, action: undefined }).map((line) => clip(line, screen.columns ?? 80));
    const back = shown > 0 ? `\u001b[${shown}A\u001b[J` : '';
    const above = isNew ? `${printable(`3-D Secure, until ${action.expiresAt}: ${action.url}`)}\n` : '';
    screen.write(`${back}${above}${lines.join('\n')}\n`);
    shown = lines.length;
  };
}

function asLines(screen: Screen): (order: OrderView) => void {
  let before: OrderView | undefined;
  return (order) => {
    const news = [
      ...order.steps.flatMap((step, index) => newsOf(step, before?.steps[index])),
      order.action && !before?.action ? `3-D Secure: ${order.action.url}` : undefined,
      order.reason !== before?.reason ? order.reason : undefined,
    ].filter((item) => item !== undefined);
    before = order;
    const what = news.length > 0 ? `: ${news.join(', ')}` : '';
    screen.write(`${printable(`${new Date().toISOString()} ${order.orderKey} ${order.state}${what}`)}\n`);
  };
}

/** What is new of a step since the event before. */
function newsOf(step: OrderStep, before: OrderStep | undefined): string[] {
  const { name, status, attempts, compensation } = step;
  const isNew = status !== (before?.status ?? 'pending') || attempts > (before?.attempts ?? attempts);
  const isUndone = compensation.status !== (before?.compensation.status ?? 'none');
  return [
    ...(isNew ? [`${name} ${status}${attempts > 1 ? ` (attempt ${attempts})` : ''}`] : []),
    ...(isUndone && ['running', 'undone', 'stuck'].includes(compensation.status)
      ? [`${name} compensation ${compensation.status}`]
      : []),
  ];
}
