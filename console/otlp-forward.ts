import { context, createContextKey } from '@opentelemetry/api';

export interface Forwarder {
  /** Sends a body on as it came. Returns at once; never throws. */
  readonly forward: (body: ForwardedBody) => void;
  /** Resolves when what is under way has arrived or failed. */
  readonly settled: () => Promise<void>;
}

export interface ForwardedBody {
  /** `/v1/traces`, for instance. */
  readonly path: string;
  readonly body: Buffer;
  readonly contentType: string;
  readonly contentEncoding: string | undefined;
}

export interface ForwardOptions {
  /** Base address of another OTLP/HTTP endpoint: what stands in OTEL_EXPORTER_OTLP_ENDPOINT. */
  readonly forwardTo: string;
  /** Sent with each request: what stands in OTEL_EXPORTER_OTLP_HEADERS. */
  readonly forwardHeaders?: Readonly<Record<string, string>>;
  /** Called for the first failure only. */
  readonly onForwardError?: (error: unknown) => void;
}

const METRICS = '/v1/metrics';
const TIMEOUT_MS = 10_000;
/** An endpoint that does not answer must not make us keep every body: what comes on top of these is dropped. */
const MAX_IN_FLIGHT = 32;

/** The key under which OpenTelemetry's core looks: spans about the sending of spans would never end. */
const SUPPRESS_TRACING = createContextKey('OpenTelemetry SDK Context Key SUPPRESS_TRACING');

export function createForwarder(options: ForwardOptions): Forwarder {
  const base = options.forwardTo.replace(/\/+$/, '');
  const inFlight = new Set<Promise<void>>();
  let hasFailed = false;
  const fail = (error: unknown) => {
    if (hasFailed) return;
    hasFailed = true;
    try {
      options.onForwardError?.(error);
    } catch {
      // A callback that throws has been told all the same; the request that brought the spans must not suffer.
    }
  };
  return {
    forward: (forwarded) => {
      if (inFlight.size >= MAX_IN_FLIGHT) {
        return fail(new Error(`${base} does not answer: ${MAX_IN_FLIGHT} requests are under way`));
      }
      const sending = post(base, forwarded, options.forwardHeaders)
        .catch(fail)
        .finally(() => inFlight.delete(sending));
      inFlight.add(sending);
    },
    settled: async () => {
      await Promise.allSettled(inFlight);
    },
  };
}

async function post(
  base: string,
  { path, body, contentType, contentEncoding }: ForwardedBody,
  extraHeaders: Readonly<Record<string, string>> = {},
): Promise<void> {
  const headers = {
    ...extraHeaders,
    'content-type': contentType,
    ...(contentEncoding !== undefined && { 'content-encoding': contentEncoding }),
  };
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const response = await context.with(context.active().setValue(SUPPRESS_TRACING, true), () =>
    fetch(`${base}${path}`, { method: 'POST', headers, body: new Uint8Array(body), signal }),
  );
  await response.arrayBuffer();
  if (response.status === 404 && path === METRICS) return; // Jaeger, for instance, takes traces only
  if (!response.ok) throw new Error(`${base}${path} answered ${response.status}`);
}
