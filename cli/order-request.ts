import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { type Command, InvalidArgumentError } from 'commander';
import { type Order, type OrderRequest, orderSchema } from '../orders/order.ts';
import { UsageError } from './failure.ts';

/** What is ordered, by a file or by flags. */
export interface RequestOptions {
  readonly file?: string;
  readonly domain?: string;
  readonly email?: string;
  readonly card?: string;
  readonly item?: readonly { readonly sku: string; readonly quantity: number }[];
  readonly orderKey?: string;
}

export function addRequestOptions(command: Command): Command {
  return command
    .option('--file <path>', 'the order as JSON; - for stdin')
    .option('--domain <name>', 'for which domain')
    .option('--email <address>', 'of the owner')
    .option('--card <code>', 'the Google Workspace card')
    .option('--item <sku=users>', 'for instance workspace-standard=5; may be repeated', readItem)
    .option('--order-key <key>', "the shop's own key (default: one is made)");
}

/** Shape: the order as it is sent, and as it is understood. Errors: UsageError, which names each field that is wrong. */
export async function readRequest(
  options: RequestOptions,
): Promise<{ readonly request: OrderRequest; readonly order: Order }> {
  const given = fromFlags(options);
  if (options.file !== undefined && Object.keys(given).length > 0)
    throw new UsageError('order place: give a file or flags, not both');
  const request = options.file === undefined ? given : await fromFile(options.file);
  const parsed = orderSchema.safeParse(request);
  if (parsed.success) return { request: request as OrderRequest, order: parsed.data };
  const issues = parsed.error.issues.map(
    ({ path, message }) => `${path.join('.') || 'the order'}: ${message}`,
  );
  throw new UsageError(`order place: ${issues.join('; ')}`);
}

function fromFlags({ domain, email, card, item, orderKey }: RequestOptions): object {
  return {
    ...(orderKey !== undefined && { orderKey }),
    ...(domain !== undefined && { domain }),
    ...(email !== undefined && { email }),
    ...(card !== undefined && { cardCode: card }),
    ...(item && { items: item }),
  };
}

async function fromFile(path: string): Promise<unknown> {
  const name = path === '-' ? 'stdin' : path;
  let content: string;
  try {
    content = path === '-' ? await text(process.stdin) : await readFile(path, 'utf8');
  } catch (error) {
    throw new UsageError(`order place: ${name} cannot be read: ${(error as Error).message}`);
  }
  try {
    return JSON.parse(content.replace(/^\uFEFF/, ''));
  } catch (error) {
    throw new UsageError(`order place: ${name} is no JSON: ${(error as Error).message}`);
  }
}

function readItem(
  value: string,
  items: NonNullable<RequestOptions['item']> = [],
): NonNullable<RequestOptions['item']> {
  const [, sku, users] = /^([^=]+)=(\d{1,9})$/.exec(value) ?? [];
  if (sku !== undefined) return [...items, { sku, quantity: Number(users) }];
  throw new InvalidArgumentError('It must be like workspace-standard=5.');
}
