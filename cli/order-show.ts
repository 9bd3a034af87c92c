import type { Command } from 'commander';
import { printOrder } from './order-print.ts';
import { addUrlOption, orderClient, type ServiceOptions } from './order-service.ts';
import { printJson } from './output.ts';

/** `throughline order show KEY` */
export function addOrderShow(order: Command): void {
  addUrlOption(order.command('show'))
    .description('one order, step by step')
    .argument('<order>', "the order's key")
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  $ throughline order show O-1042')
    .action(orderShow);
}

async function orderShow(
  orderKey: string,
  { json = false, ...service }: ServiceOptions & { readonly json?: boolean },
): Promise<void> {
  const order = await orderClient(service).show(orderKey);
  if (json) printJson(order);
  else printOrder(order, process.stdout.isTTY ? process.stdout.columns : undefined);
}
