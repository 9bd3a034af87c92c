import { randomUUID } from 'node:crypto';
import { type Command, InvalidArgumentError } from 'commander';
import { printable } from '../insight/printable.ts';
import { type OrderClient, OrderServiceAwayError } from '../orders/http/order-client.ts';
import type { OrderView } from '../orders/http/schemas.ts';
import { CURRENCY, type Order, totalsOf } from '../orders/order.ts';
import { assertAskable, confirm } from './confirm.ts';
import { UsageError } from './failure.ts';
import { priceOf } from './order-print.ts';
import { addRequestOptions, type RequestOptions, readRequest } from './order-request.ts';
import { addUrlOption, orderClient, type ServiceOptions } from './order-service.ts';
import { printJson, printLine } from './output.ts';

interface PlaceOptions extends RequestOptions, ServiceOptions {
  readonly idempotencyKey?: string;
  /** False: `--no-wait`. */
  readonly wait: boolean;
  readonly yes?: boolean;
  readonly json?: boolean;
}

/** `throughline order place` */
export function addOrderPlace(order: Command): void {
  addUrlOption(addRequestOptions(order.command('place')))
    .description('place an order, and say where the customer has to go for 3-D Secure')
    .option('--idempotency-key <key>', 'the same key places the order once (default: one is made)', readKey)
    .option('--no-wait', 'do not wait for the 3-D Secure address')
    .option('--yes', 'do not ask')
    .option('--json', 'print one JSON document')
    .addHelpText('after', HELP)
    .action(orderPlace);
}

const HELP = `
Examples:
  $ throughline order place --domain shop.example --email ada@shop.example --item workspace-standard=5
  $ throughline order place --file order.json --idempotency-key 2f6c0d --yes --json`;

/** A bank that takes longer than this is asked for with order show. */
const WAIT_MS = 15_000;

async function orderPlace(options: PlaceOptions): Promise<void> {
  const { yes = false, json = false, wait, file, idempotencyKey = randomUUID() } = options;
  if (!yes && file === '-')
    throw new UsageError('order place: stdin is the order, so nobody can be asked; say --yes');
  const client = orderClient(options);
  const { request, order } = await readRequest(options);
  if (!yes) {
    assertAskable('order place', { input: process.stdin });
    await confirm(question(order), { input: process.stdin, output: process.stderr });
  }
  const placed = await client.place(request, idempotencyKey).catch((error) => {
    if (error instanceof OrderServiceAwayError)
      console.error(`Should it be placed all the same: --idempotency-key ${idempotencyKey} places it once.`);
    throw error;
  });
  const view = wait ? await withAddress(client, placed) : placed;
  if (json) return printJson({ ...view, action: view.action, idempotencyKey });
  const { orderKey, state, reason, action } = view;
  printLine(printable(`Order ${orderKey} is placed: ${priceOf(view)} for ${view.domain}; it is ${state}.`));
  if (reason !== undefined) printLine(printable(`Reason: ${reason}`));
  if (action) printLine(printable(`3-D Secure, until ${action.expiresAt}: ${action.url}`));
  printLine(printable(`Next: throughline order watch ${orderKey}`));
}

function question(order: Order): string {
  const { amountMinor, itemsCount } = totalsOf(order);
  const price = priceOf({ amountMinor, itemsCount, currency: CURRENCY });
  return printable(`${price} for ${order.domain}, to ${order.email}. Place this order?`);
}

/** The order once the customer has to go somewhere, or it will not come to that; or as it is when that takes too long. */
async function withAddress(client: OrderClient, placed: OrderView): Promise<OrderView> {
  let latest = placed;
  const signal = AbortSignal.timeout(WAIT_MS);
  try {
    for await (const view of client.follow(placed.orderKey, signal)) {
      latest = view;
      if (view.action || view.endedAt !== undefined || view.state === 'stuck') break;
    }
  } catch (error) {
    // It is placed: that its events are not to be had is no failure.
    if (!signal.aborted && !(error instanceof OrderServiceAwayError)) throw error;
  }
  return latest;
}

function readKey(text: string): string {
  if (/^[\x21-\x7e]{1,255}$/.test(text)) return text;
  throw new InvalidArgumentError('It must be 1 to 255 characters, without spaces.');
}
