import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { type Answer, invalid, ok, problem, send } from './answer.ts';
import { readJsonObject, readText } from './body.ts';
import { effectSpec, effectsOf } from './effects.ts';
import type { Fault, Faults } from './faults.ts';
import type { Ledger } from './ledger.ts';
import type { Payments } from './payments.ts';
import { control } from './sandbox-control.ts';
import type { Effects } from './sandbox-effects.ts';
import { inServerSpan } from './server-span.ts';

export interface Parts {
  readonly ledger: Ledger;
  readonly faults: Faults;
  readonly payments: Payments;
  readonly effects: Effects;
  /** Aborted when the sandbox closes: what it was slow with does not happen any more. */
  readonly closing: AbortSignal;
}

const EFFECT = /^\/v1\/([a-z-]+)\/([a-z-]+)$/;
const LOOKUP = /^\/v1\/([a-z-]+)\/effects\/([^/]+)$/;
const CHALLENGE = /^\/3ds\/([^/]+)$/;
const MAX_KEY_CHARS = 256;

/** Answers a request, or breaks its connection. Errors: those of the connection. */
export async function handle(
  request: IncomingMessage,
  response: ServerResponse,
  parts: Parts,
): Promise<void> {
  const url = urlOf(request);
  const [, partner = '', effect = ''] = EFFECT.exec(url?.pathname ?? '') ?? [];
  if (!url || !effectSpec(partner, effect)) return send(response, await answer(request, url, parts));
  const route = `/v1/${partner}/${effect}`;
  if (request.method !== 'POST')
    return send(response, problem(405, `expected POST ${route}`, { allow: 'POST' }));
  await inServerSpan(request, route, async () => {
    const answered = await call(request, { partner, effect }, parts);
    if (answered) send(response, answered);
    else response.destroy();
    return answered?.status;
  });
}

function urlOf({ url = '/' }: IncomingMessage): URL | undefined {
  return URL.parse(url, 'http://sandbox') ?? undefined;
}

/** Shape: what to answer; undefined: nothing, the connection breaks. */
async function call(
  request: IncomingMessage,
  named: { readonly partner: string; readonly effect: string },
  { ledger, faults, effects, closing }: Parts,
): Promise<Answer | undefined> {
  const idempotencyKey = request.headers['idempotency-key'];
  if (typeof idempotencyKey !== 'string' || idempotencyKey === '' || idempotencyKey.length > MAX_KEY_CHARS)
    return invalid(400, [
      { field: 'Idempotency-Key', detail: `the header is missing or longer than ${MAX_KEY_CHARS}` },
    ]);
  const body = await readJsonObject(request);
  if (!body.ok) return body.refusal;
  const orderKey = String(body.value['orderKey'] ?? '');
  const noteEnd = ledger.called({ ...named, orderKey, idempotencyKey });
  const { latencyMs, fault } = faults.strike({ ...named, orderKey });
  if (latencyMs > 0) await delay(latencyMs, undefined, { signal: closing });
  const answered = meet(fault, () => effects.perform({ ...named, idempotencyKey, body: body.value }));
  noteEnd({ answered: answered?.status ?? 'nothing', ...(fault && { fault: fault.kind }) });
  return answered;
}

/** Does the work unless the fault is against it. Shape: as `call`. */
function meet(fault: Fault | undefined, perform: () => Answer): Answer | undefined {
  const { kind, status, reason, retryAfterSeconds = 1 } = fault ?? {};
  switch (kind) {
    case 'error':
      return problem(status ?? 503, reason ?? 'out of order');
    case 'refuse':
      return problem(status ?? 422, reason ?? 'refused');
    case 'rate-limit':
      return problem(429, reason ?? 'too many requests', { 'retry-after': String(retryAfterSeconds) });
    case 'reset':
      return undefined;
    case 'lost-answer':
      perform();
      return undefined;
    default:
      return perform();
  }
}

/** What is not an effect: the bank's page, looking effects up, and the sandbox's own business. */
async function answer(request: IncomingMessage, url: URL | undefined, parts: Parts): Promise<Answer> {
  if (!url) return problem(400, 'the path cannot be read');
  if (url.pathname.startsWith('/sandbox/')) return control(request, url, parts);
  const [, paymentId] = CHALLENGE.exec(url.pathname) ?? [];
  if (paymentId && request.method === 'GET') return parts.payments.page(paymentId);
  if (paymentId && request.method === 'POST') {
    const form = await readText(request);
    if (!form.ok) return form.refusal;
    return parts.payments.decide(paymentId, new URLSearchParams(form.value).get('decision'));
  }
  const [, partner, key] = LOOKUP.exec(url.pathname) ?? [];
  if (partner && key && request.method === 'GET')
    return lookUp({ partner, key, effect: url.searchParams.get('effect') }, parts);
  return problem(404, 'expected POST /v1/{partner}/{effect} or GET /v1/{partner}/effects/{key}');
}

/** The last effect that bears the key, for whoever lost an answer; `?effect=` asks for one of several. */
function lookUp(
  {
    partner,
    key,
    effect,
  }: { readonly partner: string; readonly key: string; readonly effect: string | null },
  { ledger }: Parts,
): Answer {
  const idempotencyKey = decoded(key);
  const row = effectsOf(partner)
    .filter((name) => effect === null || name === effect)
    .map((name) => ledger.find({ partner, effect: name, idempotencyKey }))
    .findLast((found) => found !== undefined);
  return row ? ok({ ...row }) : problem(404, 'no effect bears this key');
}

/** Shape: as it came when it is not well encoded; no effect bears such a key. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
