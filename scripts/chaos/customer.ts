import { setTimeout as delay } from 'node:timers/promises';
import type { OrderView } from '../../orders/http/schemas.ts';
import { pressAtBank } from '../system/browser.ts';
import type { PlannedOrder } from './plan.ts';

/** What a customer lived through. */
export interface Experience {
  readonly orderKey: string;
  /** The shop said that it has the order. */
  readonly isAccepted: boolean;
  /** A sentence, when the shop refused it or did something that nobody can explain. */
  readonly complaint?: string;
}

export interface CustomerOptions {
  readonly order: PlannedOrder;
  /** Of the order services; whichever answers will do. */
  readonly urls: readonly string[];
  /** When it fires the customer gives up. */
  readonly signal: AbortSignal;
}

const REQUEST_TIMEOUT_MS = 8_000;
const RETRY_PAUSE_MS = 200;
const LOOK_PAUSE_MS = 400;

/** Places an order, with the same key until somebody answers, and does at the bank what is planned. Errors: none. */
export async function beCustomer({ order, urls, signal }: CustomerOptions): Promise<Experience> {
  const { orderKey, atBank } = order;
  let isAccepted = false;
  try {
    const ask = createAsk(urls, order.atMs, signal);
    const view = await read(await ask('/orders', place(order)));
    isAccepted = true;
    if (atBank === 'approve' || atBank === 'decline') await pay(ask, view, atBank);
    return { orderKey, isAccepted };
  } catch (error) {
    const complaint = `${orderKey}: ${signal.aborted ? 'nobody answered' : String(error)}`;
    return { orderKey, isAccepted, complaint };
  }
}

type Ask = (path: string, request?: RequestInit) => Promise<Response>;

/** Asks one service after the other, from the `first` on, until one answers with anything but a failure of its own. */
function createAsk(urls: readonly string[], first: number, signal: AbortSignal): Ask {
  let turn = first;
  return async (path, request) => {
    for (;;) {
      signal.throwIfAborted();
      const url = `${urls[turn++ % urls.length]}${path}`;
      const inTime = AbortSignal.any([signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)]);
      const response = await fetch(url, { redirect: 'manual', ...request, signal: inTime }).catch(() => {});
      if (response && response.status < 500) return response;
      await response?.body?.cancel();
      await delay(RETRY_PAUSE_MS, undefined, { signal });
    }
  };
}

function place({ orderKey, atBank }: PlannedOrder): RequestInit {
  // From five users on the bank wants to see the customer.
  const items = [{ sku: 'workspace-standard', quantity: atBank === undefined ? 1 : 5 }];
  const domain = `${orderKey.toLowerCase()}.example`;
  return {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': `chaos-${orderKey}` },
    body: JSON.stringify({ orderKey, domain, email: `owner@${domain}`, items }),
  };
}

/** Errors: Error when the shop refuses. */
async function read(response: Response): Promise<OrderView> {
  const text = await response.text();
  if (!response.ok) throw new Error(`the shop answered ${response.status}: ${text.slice(0, 300)}`);
  return JSON.parse(text) as OrderView;
}

/** Waits until the bank is to be asked, or the order has ended without. */
async function pay(ask: Ask, placed: OrderView, decision: 'approve' | 'decline'): Promise<void> {
  let view = placed;
  while (!view.action) {
    if (view.endedAt !== undefined || view.state === 'compensating' || view.state === 'stuck') return;
    await delay(LOOK_PAUSE_MS);
    view = await read(await ask(view.links.self));
  }
  // Whoever comes too late finds a page without a form.
  const wayBack = await pressAtBank(view.action.url, decision).catch(() => undefined);
  if (wayBack === undefined) return;
  const { pathname, search } = new URL(wayBack);
  const response = await ask(pathname + search);
  await response.body?.cancel();
}
