import { channel } from 'node:diagnostics_channel';
import { STATUS_CODES } from 'node:http';
import { context, propagation } from '@opentelemetry/api';
import { request } from 'undici';
import { nameInRequests } from '../../shared/trace/named-in-requests.ts';
import { spansSurvive } from '../../shared/trace/release.ts';

export interface Posted {
  readonly status: number;
  readonly answer: unknown;
  /** What the answer's problem details say, or the status text. */
  readonly title: string;
  /** From `Retry-After`, in seconds or as a date. */
  readonly retryAfterMs: number | undefined;
}

export interface PostOptions {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

/** Posts JSON and reads JSON. Errors: what undici throws when there is no whole answer in time. */
export function post(url: string, { headers, body, timeoutMs, signal }: PostOptions): Promise<Posted> {
  const sent = { 'content-type': 'application/json', ...headers };
  return exchange(url, { method: 'POST', headers: sent, body: JSON.stringify(body), timeoutMs, signal });
}

/** Errors: as `post`. */
export function get(url: string, { timeoutMs }: { readonly timeoutMs: number }): Promise<Posted> {
  return exchange(url, { method: 'GET', headers: {}, timeoutMs, signal: undefined });
}

interface Exchange {
  readonly method: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

/** Not `fetch`, whose streams and signals cost three times as much CPU; it is traced by the same instrumentation. */
async function exchange(
  url: string,
  { timeoutMs, signal, headers, method, body }: Exchange,
): Promise<Posted> {
  const limit = timeLimit(timeoutMs, signal);
  const send = async () => {
    // Redirects are not followed: what is posted was meant for this partner.
    const sent = { ...headers, ...traceHeaders() };
    const response = await request(url, { method, headers: sent, body: body ?? null, signal: limit.signal });
    return { response, text: await response.body.text() };
  };
  try {
    // After a crash the call is told again, and not every try of it (named-in-requests.ts).
    const { response, text } = await (spansSurvive() ? context.with(nameInRequests(), send) : send());
    const { statusCode: status, headers: received } = response;
    const answer = parse(text);
    const { title } = (answer ?? {}) as { title?: unknown };
    return {
      status,
      answer,
      title: typeof title === 'string' ? title : (STATUS_CODES[status] ?? `status ${status}`),
      retryAfterMs: retryAfterMs(received['retry-after']),
    };
  } finally {
    limit.end();
  }
}

/** One signal of both; made by hand, because a composed one costs as much as the rest of the call. */
function timeLimit(timeoutMs: number, signal: AbortSignal | undefined) {
  const own = new AbortController();
  const timer = setTimeout(() => own.abort(new DOMException('no answer in time', 'TimeoutError')), timeoutMs);
  const abort = () => own.abort(signal?.reason);
  if (signal?.aborted) abort();
  signal?.addEventListener('abort', abort, { once: true });
  return {
    signal: own.signal,
    end() {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    },
  };
}

const requestsAreTraced = channel('undici:request:create');

/**
 * The instrumentation of undici writes the context into the headers itself, and a second `traceparent` would make both
 * invalid. Where it is off (a test, a service that does not call `instrument()`) the context of the caller's span is
 * written here, so that the partner's spans hang on the order in either case.
 */
function traceHeaders(): Record<string, string> {
  const headers: Record<string, string> = {};
  if (!requestsAreTraced.hasSubscribers) propagation.inject(context.active(), headers);
  return headers;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function retryAfterMs(header: string | string[] | undefined): number | undefined {
  if (typeof header !== 'string') return undefined;
  const seconds = Number(header);
  if (Number.isFinite(seconds) && seconds >= 0) return seconds * 1_000;
  const dateMs = Date.parse(header);
  return Number.isNaN(dateMs) ? undefined : Math.max(0, dateMs - Date.now());
}

/** Codes of failures before a connection was there: nothing can have been sent. */
const NOTHING_SENT = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** Whether what `post` threw says that the request never left. */
export function isUnsent(error: unknown): boolean {
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === 'string' && NOTHING_SENT.has(code);
}
