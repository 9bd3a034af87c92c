import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { SpanRecord } from '../insight/index.ts';
import { decompress, encodingOf, type OtlpEncoding, RefusedRequestError, readBody } from './otlp-body.ts';
import { createForwarder, type Forwarder, type ForwardOptions } from './otlp-forward.ts';
import { replyError, replySuccess } from './otlp-reply.ts';
import { ExportTraceServiceRequest } from './otlp-schema.ts';
import { type ReceivedSpans, readSpans } from './otlp-spans.ts';

export interface OtlpReceiverOptions extends Partial<ForwardOptions> {
  /** 0 takes any free port. Default 0. */
  readonly port?: number;
  /** Default 127.0.0.1: nobody outside this machine. */
  readonly host?: string;
  /** Called for every request that brought spans. What it throws is answered with 500, which senders do not retry. */
  readonly onSpans: (spans: SpanRecord[]) => void;
  /** Limit of a request's body, both as sent and decompressed. Default 8 MiB. */
  readonly maxBodyBytes?: number;
}

export interface OtlpReceiver {
  /** `http://127.0.0.1:PORT`, fit for OTEL_EXPORTER_OTLP_ENDPOINT. */
  readonly endpoint: string;
  /** Stops listening, then waits for requests and forwarded bodies under way. May be called twice. */
  readonly close: () => Promise<void>;
}

const DEFAULT_MAX_BODY_BYTES = 8 * 1024 * 1024;
/** A sender that takes longer to send its request, or to let go when we close, is cut off. */
const REQUEST_TIMEOUT_MS = 30_000;
const CLOSE_GRACE_MS = 2_000;

/**
 * Receives spans over OTLP/HTTP, in protobuf and in JSON. Metrics and logs are accepted and not kept, so that one
 * endpoint serves a whole SDK.
 *
 * Errors: those of listening (EADDRINUSE, EACCES). Requests get theirs as a `google.rpc.Status`.
 * Source: OTLP 1.x, "OTLP/HTTP".
 */
export async function startOtlpReceiver(options: OtlpReceiverOptions): Promise<OtlpReceiver> {
  const forwarder =
    options.forwardTo === undefined
      ? undefined
      : createForwarder({ ...options, forwardTo: options.forwardTo });
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
    void answer(request, response, options, forwarder);
  });
  const host = options.host ?? '127.0.0.1';
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, host, resolve);
  });
  const { address, port, family } = server.address() as AddressInfo;
  let closing: Promise<void> | undefined;
  return {
    endpoint: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`,
    close: () => {
      closing ??= closeServer(server).then(() => forwarder?.settled());
      return closing;
    },
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: OtlpReceiverOptions,
  forwarder: Forwarder | undefined,
): Promise<void> {
  const errorEncoding = preferredEncoding(request);
  try {
    const rejectedSpans = await receive(request, options, forwarder);
    replySuccess(response, encodingOf(request), rejectedSpans);
  } catch (error) {
    const refused = error instanceof RefusedRequestError ? error : undefined;
    if (refused?.status === 405) response.setHeader('allow', 'POST');
    // What is left of the body is read and dropped, so that the sender gets to see the answer.
    if (!request.complete) response.setHeader('connection', 'close');
    request.resume();
    replyError(
      response,
      errorEncoding,
      refused?.status ?? 500,
      refused?.message ?? 'The spans could not be kept',
    );
  }
}

/** How many spans were rejected. Errors: RefusedRequestError; whatever `onSpans` throws. */
async function receive(
  request: IncomingMessage,
  options: OtlpReceiverOptions,
  forwarder: Forwarder | undefined,
): Promise<number> {
  const path = request.url?.split('?')[0] ?? '';
  if (!SIGNAL_PATHS.has(path))
    throw new RefusedRequestError(404, 'There is /v1/traces, /v1/metrics, /v1/logs');
  if (request.method !== 'POST') throw new RefusedRequestError(405, 'Only POST is understood');
  const encoding = encodingOf(request);
  const maxBodyBytes = options.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES;
  const contentEncoding = request.headers['content-encoding'];
  const sent = await readBody(request, maxBodyBytes);
  const body = await decompress(sent, contentEncoding, maxBodyBytes);
  const received = path === '/v1/traces' ? decode(body, encoding) : undefined;
  forwarder?.forward({ path, body: sent, contentType: encoding, contentEncoding });
  if (received && received.spans.length > 0) options.onSpans(received.spans);
  return received?.rejectedSpans ?? 0;
}

const SIGNAL_PATHS: ReadonlySet<string> = new Set(['/v1/traces', '/v1/metrics', '/v1/logs']);

/** Whatever goes wrong while a stranger's bytes are read, they are to blame. */
function decode(body: Buffer, encoding: OtlpEncoding): ReceivedSpans {
  try {
    return readSpans(
      encoding === 'application/json'
        ? JSON.parse(body.toString('utf8'))
        : ExportTraceServiceRequest.decode(body),
    );
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new RefusedRequestError(400, `The body is not a valid request: ${reason}`.slice(0, 200), {
      cause: error,
    });
  }
}

function preferredEncoding(request: IncomingMessage): OtlpEncoding {
  try {
    return encodingOf(request);
  } catch {
    return 'application/json';
  }
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const cutOff = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
    server.close(() => {
      clearTimeout(cutOff);
      resolve();
    });
  });
}
