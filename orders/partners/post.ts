import { channel } from 'node:diagnostics_channel';
import { context, propagation } from '@opentelemetry/api';
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

/** Posts JSON and reads JSON. Errors: what `fetch` throws when there is no whole answer in time. */
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

async function exchange(url: string, { timeoutMs, signal, headers, ...request }: Exchange): Promise<Posted> {
  const timeout = AbortSignal.timeout(timeoutMs);
  const send = () =>
    fetch(url, {
      ...request,
      headers: { ...headers, ...traceHeaders() },
      // A partner that sends us elsewhere is not followed: what is posted was meant for it.
      redirect: 'manual',
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
  // After a crash the call is told again, and not every try of it (named-in-requests.ts).
  const response = await (spansSurvive() ? context.with(nameInRequests(), send) : send());
  const text = await response.text();
  const answer = parse(text);
  const { title } = (answer ?? {}) as { title?: unknown };
  return {
    status: response.status,
    answer,
    title: typeof title === 'string' ? title : response.statusText || `status ${response.status}`,
    retryAfterMs: retryAfterMs(response.headers.get('retry-after')),
  };
}

const fetchIsTraced = channel('undici:request:create');

/**
 * The instrumentation of `fetch` writes the context into the headers itself, and a second `traceparent` would make both
 * invalid. Where it is off (a test, a service that does not call `instrument()`) the context of the caller's span is
 * written here, so that the partner's spans hang on the order in either case.
 */
function traceHeaders(): Record<string, string> {
  const headers: Record<string, string> = {};
  if (!fetchIsTraced.hasSubscribers) propagation.inject(context.active(), headers);
  return headers;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function retryAfterMs(header: string | null): number | undefined {
  if (header === null) return undefined;
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
  const { cause } = (error ?? {}) as { cause?: { code?: unknown } };
  return typeof cause?.code === 'string' && NOTHING_SENT.has(cause.code);
}
