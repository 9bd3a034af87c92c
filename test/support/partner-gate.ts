import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { PartnersSandbox } from '../../emulator/partners/sandbox.ts';
import { createArrivals } from '../../shared/trace/arrivals.ts';
import { PATIENCE_MS } from './patience.ts';

/** A call as it reached a partner, repeated ones included. */
export interface ReceivedCall {
  /** `workspace/set-up` */
  readonly what: string;
  readonly orderKey: string;
  readonly idempotencyKey: string;
}

export interface Hold {
  readonly what: string;
  readonly orderKey: string;
  /** `before`: nothing has happened yet. `after`: the effect has happened and the answer is kept back. */
  readonly when: 'before' | 'after';
}

/** Stands before the partners' sandbox: counts calls, and keeps one back until the test lets it go. */
export interface PartnerGate {
  readonly url: string;
  readonly calls: readonly ReceivedCall[];
  /** The next such call is kept back. Resolves `held` when it is: the job has then begun for certain. */
  hold(hold: Hold): { readonly held: Promise<void>; readonly release: () => void };
  /** Resolves when there have been `count` calls for the order. */
  called(orderKey: string, count: number): Promise<readonly ReceivedCall[]>;
  close(): Promise<void>;
}

interface PendingHold extends Hold {
  readonly onHeld: () => void;
  readonly released: Promise<void>;
}

export async function startPartnerGate(sandbox: PartnersSandbox): Promise<PartnerGate> {
  const calls: ReceivedCall[] = [];
  const holds: PendingHold[] = [];
  const arrivals = createArrivals(() => JSON.stringify(calls, undefined, 1));

  const takeHold = (call: ReceivedCall): PendingHold | undefined => {
    const index = holds.findIndex(({ what, orderKey }) => what === call.what && orderKey === call.orderKey);
    return index < 0 ? undefined : holds.splice(index, 1)[0];
  };

  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    const body = await read(request);
    const { orderKey } = JSON.parse(body) as { orderKey: string };
    const idempotencyKey = String(request.headers['idempotency-key']);
    const call = { what: (request.url ?? '').replace('/v1/', ''), orderKey, idempotencyKey };
    calls.push(call);
    arrivals.notify();
    const hold = takeHold(call);
    if (hold?.when === 'before') await keep(hold);
    const headers = { 'content-type': 'application/json', 'idempotency-key': idempotencyKey };
    const answer = await fetch(`${sandbox.url}${request.url}`, { method: 'POST', headers, body });
    const text = await answer.text();
    if (hold?.when === 'after') await keep(hold);
    response.writeHead(answer.status, { 'content-type': 'application/json' }).end(text);
  };

  const server = createServer((request, response) => {
    // Whoever called may have been killed meanwhile.
    handle(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    calls,
    hold(hold) {
      const held = Promise.withResolvers<void>();
      const released = Promise.withResolvers<void>();
      holds.push({ ...hold, onHeld: held.resolve, released: released.promise });
      return { held: held.promise, release: released.resolve };
    },
    called: (orderKey, count) =>
      arrivals.waitFor(
        () => {
          const own = calls.filter((call) => call.orderKey === orderKey);
          return own.length >= count && own;
        },
        { timeoutMs: PATIENCE_MS },
      ),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function keep({ onHeld, released }: PendingHold): Promise<void> {
  onHeld();
  await released;
}

async function read(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text;
}
