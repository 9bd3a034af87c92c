import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** How long a request may still take once its server stops, in ms. */
const CLOSE_GRACE_MS = 5_000;

export interface ListenOptions {
  /** 0: a free one. */
  readonly port: number;
  /** Default: loopback. */
  readonly host?: string | undefined;
}

/** Shape: the port. Errors: those of listening (EADDRINUSE, EADDRNOTAVAIL, EACCES). */
export function listen(server: Server, { port, host = '127.0.0.1' }: ListenOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host }, () => resolve((server.address() as AddressInfo).port));
  });
}

/**
 * Answers what has been asked, and no more: a connection that is kept alive is told to go with its next answer, or a busy
 * one would bring requests for as long as its client likes. Whoever is in the middle of something for long is cut off.
 */
export function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const late = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
    server.prependListener('request', (_, response) => response.setHeader('connection', 'close'));
    server.close(() => {
      clearTimeout(late);
      resolve();
    });
    server.closeIdleConnections();
  });
}
