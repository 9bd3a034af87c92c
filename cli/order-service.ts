import type { Command } from 'commander';
import { createOrderClient, type OrderClient } from '../orders/http/order-client.ts';
import { readConfig } from '../shared/config.ts';
import { UsageError } from './failure.ts';
import { readHttpUrl } from './read-http-url.ts';

export interface ServiceOptions {
  readonly url?: string;
}

/** `--url`: which order service. */
export function addUrlOption(command: Command): Command {
  return command.option(
    '--url <url>',
    'of the order service (default: PUBLIC_URL, or else PORT on this machine)',
    readHttpUrl,
  );
}

/** Errors: ConfigError, UsageError. */
export function orderClient({ url }: ServiceOptions): OrderClient {
  if (url !== undefined) return createOrderClient(url);
  const { publicUrl, port } = readConfig();
  if (publicUrl !== undefined) return createOrderClient(publicUrl.replace(/\/+$/, ''));
  if (port === 0) throw new UsageError('PORT is 0, any free one: say with --url where the order service is');
  return createOrderClient(`http://127.0.0.1:${port}`);
}
