import { context, propagation, SpanKind } from '@opentelemetry/api';
import { inSpan } from '../../shared/index.ts';
import { PartnerRefusedError, PartnerUnavailableError } from './errors.ts';

export interface PartnerCall {
  readonly partner: 'card' | 'payment' | 'workspace' | 'mail';
  readonly effect: string;
  readonly orderKey: string;
  /** Makes a repeated call harmless: stable over retries and redeliveries. */
  readonly idempotencyKey: string;
  readonly body?: Readonly<Record<string, unknown>>;
  readonly signal?: AbortSignal;
}

/** Calls a partner and resolves once the effect is confirmed. */
export type Partners = (call: PartnerCall) => Promise<void>;

const TIMEOUT_MS = 5_000;

/**
 * The order's partners over HTTP, each call in a CLIENT span.
 *
 * Errors: PartnerRefusedError (4xx: final), PartnerUnavailableError (5xx, 429, no answer: may be retried; after no answer
 *         the effect may have happened).
 */
export function createPartners(baseUrl: string): Partners {
  return (call) => {
    const url = `${baseUrl}/v1/${call.partner}/${call.effect}`;
    const attributes = {
      'http.request.method': 'POST',
      'url.full': url,
      'server.address': new URL(url).hostname,
      'peer.service': call.partner,
    };
    return inSpan(
      `POST ${call.partner}/${call.effect}`,
      { kind: SpanKind.CLIENT, attributes },
      async (span) => {
        const response = await request(url, call);
        span.setAttribute('http.response.status_code', response.status);
        if (!response.ok) throw await failure(call, response);
        await response.body?.cancel();
      },
    );
  };
}

async function request(url: string, call: PartnerCall): Promise<Response> {
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    'idempotency-key': call.idempotencyKey,
  };
  propagation.inject(context.active(), headers);
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  const signal = call.signal ? AbortSignal.any([call.signal, timeout]) : timeout;
  const body = JSON.stringify({ ...call.body, orderKey: call.orderKey });
  try {
    return await fetch(url, { method: 'POST', headers, body, signal });
  } catch (cause) {
    if (call.signal?.aborted) throw cause;
    throw new PartnerUnavailableError(call.partner, 'no answer', { cause });
  }
}

async function failure(call: PartnerCall, response: Response): Promise<Error> {
  const title = await response
    .json()
    .then((problem) => String((problem as { title?: unknown }).title ?? response.statusText))
    .catch(() => response.statusText);
  if (response.status >= 500) return new PartnerUnavailableError(call.partner, title);
  if (response.status === 429) {
    const seconds = Number(response.headers.get('retry-after'));
    return new PartnerUnavailableError(call.partner, title, { retryAfterMs: (seconds || 1) * 1_000 });
  }
  return new PartnerRefusedError(call.partner, response.status, title);
}
