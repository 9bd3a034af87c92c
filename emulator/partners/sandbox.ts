import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { problem, send } from './answer.ts';
import { createFaults, type Faults } from './faults.ts';
import { type CallRow, createLedger, type LedgerRow } from './ledger.ts';
import { createPayments } from './payments.ts';
import { handle } from './routes.ts';
import { createEffects } from './sandbox-effects.ts';

export interface PartnersSandbox {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  readonly faults: Pick<Faults, 'add' | 'clear'>;
  /** What really happened, in order; of every order when no key is given. */
  effects(orderKey?: string): LedgerRow[];
  /** Every call that arrived, whatever became of it, in order. */
  calls(orderKey?: string): CallRow[];
  /** Breaks what is under way. May be called twice. */
  close(): Promise<void>;
}

export interface SandboxOptions {
  /** Default: a free one. */
  readonly port?: number;
  /** The address that it listens on. Default: loopback. */
  readonly host?: string;
  /** Under which customers' browsers reach the bank's page. Default: its loopback address. */
  readonly publicUrl?: string | undefined;
  /** Faults that strike by chance strike the same calls of the same orders again. Default 1. */
  readonly seed?: number;
}

/**
 * The partners of an order as one HTTP server: `POST /v1/{partner}/{effect}` with an `Idempotency-Key` (effects.ts), the
 * bank's page at `/3ds/{paymentId}`, `GET /v1/{partner}/effects/{key}` for whoever lost an answer, and `/sandbox/…` for
 * those who look on or interfere from another process (sandbox-client.ts).
 *
 * Errors: those of listening, for instance when the port is taken.
 */
export async function startPartnersSandbox(options: SandboxOptions = {}): Promise<PartnersSandbox> {
  const ledger = createLedger();
  const faults = createFaults(options.seed ?? 1);
  const payments = createPayments();
  const closing = new AbortController();
  let url = '';
  const effects = createEffects({
    ledger,
    payments,
    url: () => options.publicUrl?.replace(/\/+$/, '') ?? url,
  });
  const parts = { ledger, faults, payments, effects, closing: closing.signal };
  const server = createServer((request, response) => {
    handle(request, response, parts).catch((error) => {
      if (!response.destroyed && !response.headersSent) send(response, problem(500, String(error)));
    });
  });
  url = `http://127.0.0.1:${await listen(server, options)}`;
  let closed: Promise<void> | undefined;
  return {
    url,
    faults,
    effects: ledger.rows,
    calls: ledger.calls,
    close() {
      closing.abort();
      closed ??= close(server);
      return closed;
    },
  };
}

function listen(server: Server, { port = 0, host = '127.0.0.1' }: SandboxOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host }, () => resolve((server.address() as AddressInfo).port));
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
