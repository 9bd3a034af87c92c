import { sizeOfTraces, type TraceSizes } from '../console/otlp-size.ts';
import { MalformedOtlpError } from '../console/otlp-value.ts';
import { ThroughlineError } from '../shared/errors.ts';
import { reasonOf } from './failure.ts';

/** A store of traces was asked and did not answer the question. */
export class TraceStoreError extends ThroughlineError {
  override readonly name = 'TraceStoreError';
  readonly code = 'TRACE_STORE';
}

export interface StoredTracesOptions {
  /** Base address of a Jaeger (1.35 and newer) or of what speaks its query API. */
  readonly url: string;
  readonly service: string;
  readonly sinceMs: number;
  readonly limit: number;
}

const TIMEOUT_MS = 60_000;

/**
 * How large the newest traces of a service are that a store has. Shape: nothing stored is 0 of everything.
 *
 * Errors: TraceStoreError.
 * Source: Jaeger, "APIs": `/api/v3/traces`, which answers in OTLP/JSON, a document a line.
 */
export async function measureStoredTraces(options: StoredTracesOptions): Promise<TraceSizes> {
  const url = new URL(`${options.url.replace(/\/+$/, '')}/api/v3/traces`);
  url.search = new URLSearchParams({
    'query.service_name': options.service,
    'query.start_time_min': new Date(options.sinceMs).toISOString(),
    'query.start_time_max': new Date().toISOString(),
    'query.num_traces': String(options.limit),
  }).toString();
  const body = await ask(url);
  const none = { traces: 0, spans: 0, bytes: 0 };
  if (body === undefined) return none;
  try {
    return body
      .split('\n')
      .filter((line) => line.trim() !== '')
      .map((line) => sizeOfTraces((JSON.parse(line) as { readonly result?: unknown } | null)?.result))
      .reduce(
        (sum, { traces, spans, bytes }) => ({
          traces: sum.traces + traces,
          spans: sum.spans + spans,
          bytes: sum.bytes + bytes,
        }),
        none,
      );
  } catch (cause) {
    if (!(cause instanceof SyntaxError || cause instanceof MalformedOtlpError)) throw cause;
    throw new TraceStoreError(`${addressOf(url)} answered, and not as Jaeger does; is this its address?`, {
      cause,
    });
  }
}

/** Shape: undefined where there is no such trace, which Jaeger calls 404. */
async function ask(url: URL): Promise<string | undefined> {
  let response: Response;
  let body: string;
  try {
    response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    body = await response.text();
  } catch (cause) {
    throw new TraceStoreError(`no answer from ${addressOf(url)}: ${reasonOf(cause)}`, { cause });
  }
  if (response.status === 404 && body.includes('No traces found')) return undefined;
  if (!response.ok)
    throw new TraceStoreError(`${addressOf(url)} answered ${response.status}; is this Jaeger's address?`);
  return body;
}

function addressOf({ origin, pathname }: URL): string {
  return origin + pathname;
}
