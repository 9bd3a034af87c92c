import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import { type OrderClient, OrderServiceAwayError } from '../orders/http/order-client.ts';
import type { OrderView } from '../orders/http/schemas.ts';
import { createOrderScreen } from './order-screen.ts';
import { addUrlOption, orderClient, type ServiceOptions } from './order-service.ts';

/** What became of the order, for scripts. */
const EXIT_OF: Partial<Record<OrderView['state'], number>> = {
  confirmed: 0,
  compensated: 3,
  stuck: 4,
  resolved: 5,
};

/** `throughline order watch KEY` */
export function addOrderWatch(order: Command): void {
  addUrlOption(order.command('watch'))
    .description('follow an order until it has ended, or is stuck')
    .argument('<order>', "the order's key")
    .option('--json', 'print one JSON document a line, one for each event')
    .addHelpText('after', HELP)
    .action(orderWatch);
}

const HELP = `
On a terminal its steps, as they are; elsewhere a line for each event.

Exit codes: 0 confirmed, 3 compensated, 4 stuck (an operator has to decide), 5 resolved (ended as it was by an operator).

Example:
  $ throughline order watch O-1042 && echo confirmed`;

async function orderWatch(
  orderKey: string,
  { json = false, ...service }: ServiceOptions & { readonly json?: boolean },
): Promise<void> {
  const show = createOrderScreen(process.stdout, { json });
  for await (const order of followToEnd(orderClient(service), orderKey)) {
    show(order);
    process.exitCode = EXIT_OF[order.state] ?? 0;
  }
}

/** A service that restarts is waited for so long, in ms. */
const AWAY_MS = 30_000;
const RECONNECT_EVERY_MS = 500;

/** Over restarts of the service. Errors: OrderRefusedError; OrderServiceAwayError when it stays away. */
async function* followToEnd(client: OrderClient, orderKey: string): AsyncGenerator<OrderView> {
  let last: string | undefined;
  let awayMs: number | undefined;
  for (;;) {
    try {
      for await (const order of client.follow(orderKey, new AbortController().signal)) {
        awayMs = undefined;
        const event = JSON.stringify(order);
        if (event !== last) yield order; // each connection begins with the order as it is
        last = event;
        if (EXIT_OF[order.state] !== undefined) return;
      }
    } catch (error) {
      // At first there is nothing to go on with: the address may be wrong.
      if (!(error instanceof OrderServiceAwayError) || last === undefined) throw error;
      awayMs ??= performance.now();
      if (performance.now() - awayMs > AWAY_MS) throw error;
    }
    await delay(RECONNECT_EVERY_MS);
  }
}
