import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createFaults, type Fault } from './faults.ts';
import { createLedger, type LedgerRow } from './ledger.ts';

export interface PartnersSandbox {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  /** What really happened, in order: the judge of "exactly once". */
  effects(orderKey: string): readonly LedgerRow[];
  addFault(fault: Fault): void;
  /** May be called twice. */
  close(): Promise<void>;
}

const MAX_BODY_BYTES = 64 * 1024;
const ROUTE = /^\/v1\/([a-z-]+)\/([a-z-]+)$/;

/**
 * The partners of an order, as one HTTP server: `POST /v1/{partner}/{effect}` with an `Idempotency-Key`.
 *
 * A repeated key gets the first answer and no second effect. Faults are set per partner, effect and order.
 */
export async function startPartnersSandbox(
  options: { readonly port?: number } = {},
): Promise<PartnersSandbox> {
  const ledger = createLedger();
  const faults = createFaults();
  const server = createServer((request, response) => {
    handle(request, ledger, faults)
      .catch((error) => ({ status: 500, body: { title: String(error) } }))
      .then((answer) => send(response, answer));
  });
  await listen(server, options.port ?? 0);
  const { port } = server.address() as AddressInfo;
  let closed: Promise<void> | undefined;
  return {
    url: `http://127.0.0.1:${port}`,
    effects: (orderKey) => ledger.of(orderKey),
    addFault: (fault) => faults.add(fault),
    close() {
      closed ??= close(server);
      return closed;
    },
  };
}

interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

async function handle(
  request: IncomingMessage,
  ledger: ReturnType<typeof createLedger>,
  faults: ReturnType<typeof createFaults>,
): Promise<Answer> {
  const [, partner, effect] = ROUTE.exec(request.url ?? '') ?? [];
  if (request.method !== 'POST' || !partner || !effect)
    return problem(404, 'expected POST /v1/{partner}/{effect}');
  const idempotencyKey = request.headers['idempotency-key'];
  if (typeof idempotencyKey !== 'string') return problem(400, 'the Idempotency-Key header is missing');
  const body = await readJson(request);
  if (!body) return problem(400, 'expected a JSON object');
  const orderKey = body['orderKey'];
  if (typeof orderKey !== 'string') return problem(422, 'orderKey: expected a string');
  const fault = faults.next({ partner, effect, orderKey });
  if (fault) return problem(fault.status, fault.reason);
  const row = ledger.record({ partner, effect, orderKey, idempotencyKey });
  return { status: 200, body: { reference: row.reference } };
}

function problem(status: number, title: string): Answer {
  return { status, body: { title } };
}

async function readJson(request: IncomingMessage): Promise<Record<string, unknown> | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength;
    if (bytes > MAX_BODY_BYTES) return undefined;
    chunks.push(chunk);
  }
  try {
    const parsed: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function send(response: ServerResponse, { status, body }: Answer): void {
  const type = status < 400 ? 'application/json' : 'application/problem+json';
  response.writeHead(status, { 'content-type': type }).end(JSON.stringify(body));
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve());
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
