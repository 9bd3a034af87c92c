import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { type Answer, ok, problem } from './answer.ts';
import { readJsonObject, readText } from './body.ts';
import { createFaults, createRandom, type Fault, type Faults } from './faults.ts';
import { createLedger, type Ledger } from './ledger.ts';
import { createPayments, type Payments } from './payments.ts';
import { control } from './sandbox-control.ts';
import { createEffects } from './sandbox-effects.ts';
import { inServerSpan } from './server-span.ts';

export interface PartnersSandbox {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  readonly ledger: Ledger;
  readonly faults: Faults;
  /** May be called twice. */
  close(): Promise<void>;
}

export interface SandboxOptions {
  /** Default: a free one. */
  readonly port?: number;
  /** Makes faults that strike by chance strike the same calls again. Default 1. */
  readonly seed?: number;
}

const EFFECT = /^\/v1\/([a-z-]+)\/([a-z-]+)$/;
const LOOKUP = /^\/v1\/([a-z-]+)\/([a-z-]+)\/effects\/(.+)$/;
const CHALLENGE = /^\/3ds\/([^/]+)$/;

/**
 * The partners of an order as one HTTP server: `POST /v1/{partner}/{effect}` with an `Idempotency-Key` (effects.ts), the
 * bank's page at `/3ds/{paymentId}`, `GET /v1/{partner}/{effect}/effects/{key}` for whoever lost an answer, and
 * `/sandbox/…` for tests that are in another process (sandbox-client.ts).
 */
export async function startPartnersSandbox(options: SandboxOptions = {}): Promise<PartnersSandbox> {
  const ledger = createLedger();
  const faults = createFaults(createRandom(options.seed ?? 1));
  const payments = createPayments();
  let url = '';
  const effects = createEffects({ ledger, payments, url: () => url });
  const parts: Parts = { ledger, faults, payments, effects };
  const server = createServer((request, response) => {
    handle(request, response, parts).catch((error) => send(response, problem(500, String(error))));
  });
  url = `http://127.0.0.1:${await listen(server, options.port ?? 0)}`;
  let closed: Promise<void> | undefined;
  return {
    url,
    ledger,
    faults,
    close() {
      closed ??= close(server);
      return closed;
    },
  };
}

interface Parts {
  readonly ledger: Ledger;
  readonly faults: Faults;
  readonly payments: Payments;
  readonly effects: ReturnType<typeof createEffects>;
}

async function handle(request: IncomingMessage, response: ServerResponse, parts: Parts): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://sandbox');
  const [, partner, effect] = EFFECT.exec(url.pathname) ?? [];
  if (request.method === 'POST' && partner && effect)
    return inServerSpan(request, `/v1/${partner}/${effect}`, async () => {
      const answer = await perform(request, { partner, effect }, parts);
      if (answer) send(response, answer);
      else response.destroy();
      return answer?.status;
    });
  if (url.pathname.startsWith('/sandbox/')) return send(response, await control(request, url, parts));
  send(response, await lookUp(request, url, parts));
}

/** Shape: what to answer; undefined: nothing, the connection breaks. */
async function perform(
  request: IncomingMessage,
  { partner, effect }: { readonly partner: string; readonly effect: string },
  { ledger, faults, effects }: Parts,
): Promise<Answer | undefined> {
  const idempotencyKey = request.headers['idempotency-key'];
  if (typeof idempotencyKey !== 'string') return problem(400, 'the Idempotency-Key header is missing');
  const body = await readJsonObject(request);
  if (!body) return problem(400, 'expected a JSON object of at most 64 KiB');
  const orderKey = String(body['orderKey'] ?? '');
  ledger.called({ partner, effect, orderKey, idempotencyKey });
  const fault = faults.strike({ partner, effect, orderKey });
  if (fault?.kind === 'latency') await delay(fault.latencyMs ?? 1_000);
  const failure = fault && failed(fault);
  if (failure) return failure;
  if (fault?.kind === 'reset') return undefined;
  const answer = effects.perform({ partner, effect, idempotencyKey, body });
  return fault?.kind === 'lost-answer' ? undefined : answer;
}

function failed({ kind, status, reason, retryAfterSeconds }: Fault): Answer | undefined {
  if (kind === 'error') return problem(status ?? 503, reason ?? 'out of order');
  if (kind === 'refuse') return problem(status ?? 422, reason ?? 'refused');
  if (kind !== 'rate-limit') return undefined;
  return problem(429, reason ?? 'too many requests', { 'retry-after': String(retryAfterSeconds ?? 1) });
}

async function lookUp(
  request: IncomingMessage,
  { pathname }: URL,
  { ledger, payments }: Parts,
): Promise<Answer> {
  const [, paymentId] = CHALLENGE.exec(pathname) ?? [];
  if (paymentId && request.method === 'GET') return payments.page(paymentId);
  if (paymentId && request.method === 'POST') {
    const form = new URLSearchParams(await readText(request));
    return payments.decide(paymentId, form.get('decision'));
  }
  const [, partner, effect, key] = LOOKUP.exec(pathname) ?? [];
  if (request.method !== 'GET' || !partner || !effect || !key)
    return problem(404, 'expected POST /v1/{partner}/{effect}');
  const row = ledger.find(partner, effect, decodeURIComponent(key));
  return row ? ok({ ...row }) : problem(404, 'no effect bears this key');
}

function send(response: ServerResponse, { status, body, headers }: Answer): void {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(text);
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
