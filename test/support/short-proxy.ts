import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

/**
 * A load balancer whose patience is shorter than what stands behind it: after `timeoutMs` it answers 504, and what it passed on goes on.
 */
export interface ShortProxy {
  readonly url: string;
  /** How often it has lost its patience. */
  readonly timeouts: () => number;
}

export async function startShortProxy(target: string, timeoutMs: number): Promise<ShortProxy> {
  let timeouts = 0;
  const { hostname, port } = new URL(target);
  const server = createServer((incoming, outgoing) => {
    const { method, url: path, headers } = incoming;
    const passed = request({ hostname, port, method, path, headers }, (answer) => {
      if (outgoing.headersSent) return void answer.resume();
      clearTimeout(timer);
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    const fail = (status: number) => {
      if (outgoing.headersSent) return;
      outgoing.writeHead(status, { 'content-type': 'application/problem+json' });
      outgoing.end(JSON.stringify({ title: status === 504 ? 'gateway time-out' : 'bad gateway', status }));
    };
    const timer = setTimeout(() => {
      timeouts += 1;
      fail(504);
    }, timeoutMs);
    passed.on('error', () => fail(502));
    incoming.pipe(passed);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, timeouts: () => timeouts };
}
