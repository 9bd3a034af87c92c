import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { ThroughlineError } from '../errors.ts';

/** Where Prometheus fetches metrics from. */
export interface ScrapeOptions {
  /** 0: a free one. */
  readonly port: number;
  /** Default: loopback. */
  readonly host?: string | undefined;
  /** What else is served there, by path. */
  readonly routes?: Readonly<Record<string, RequestListener>>;
}

export interface ScrapeServer {
  readonly url: string;
  /** May be called twice. */
  close(): Promise<void>;
}

/** The address is taken, or is none of this machine's. */
export class ScrapeAddressError extends ThroughlineError {
  override readonly name = 'ScrapeAddressError';
  readonly code = 'SCRAPE_ADDRESS';

  constructor(host: string, port: number, cause: unknown) {
    const { code = String(cause) } = cause as { code?: string };
    super(
      `OTEL_EXPORTER_PROMETHEUS_PORT: metrics cannot be served on ${host}:${port} (${code}); each process needs a port of its own`,
      { cause },
    );
  }
}

const PATH = '/metrics';

/**
 * Serves metrics to Prometheus. Not the exporter's own server, which takes no port 0 and reports a port that is taken only
 * to the log. It keeps no process alive.
 *
 * Errors: ScrapeAddressError.
 */
export async function startScrapeServer(
  { host = '127.0.0.1', port, routes = {} }: ScrapeOptions,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<ScrapeServer> {
  const server = createServer((request, response) => {
    const [path = ''] = (request.url ?? '').split('?');
    if (Object.hasOwn(routes, path)) routes[path]?.(request, response);
    else if (path !== PATH) response.writeHead(404).end();
    else if (request.method !== 'GET' && request.method !== 'HEAD') response.writeHead(405).end();
    else answer(request, response);
  }).unref();
  await listen(server, host, port);
  const { port: bound } = server.address() as AddressInfo;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}${PATH}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(new ScrapeAddressError(host, port, error)));
    server.listen({ host, port }, resolve);
  });
}
