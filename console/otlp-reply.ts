import type { ServerResponse } from 'node:http';
import type { OtlpEncoding } from './otlp-body.ts';
import { ExportTraceServiceResponse, RpcStatus } from './otlp-schema.ts';

/**
 * Answers in the encoding of the request: success, partial success, or `google.rpc.Status` for an error.
 *
 * Source: OTLP/HTTP, "OTLP/HTTP Response". An empty message is zero bytes of protobuf, which suits every signal.
 */
export function replySuccess(response: ServerResponse, encoding: OtlpEncoding, rejectedSpans: number): void {
  const partialSuccess = {
    rejectedSpans,
    errorMessage: `${rejectedSpans} spans have an invalid trace, span or parent id`,
  };
  const message = rejectedSpans === 0 ? {} : { partialSuccess };
  const body =
    encoding === 'application/json' ? asJson(message) : ExportTraceServiceResponse.encode(message).finish();
  send(response, 200, encoding, body);
}

/** 64-bit integers are decimal strings in OTLP/JSON. */
function asJson(message: object): string {
  return JSON.stringify(message, (key, value) => (key === 'rejectedSpans' ? String(value) : value));
}

export function replyError(
  response: ServerResponse,
  encoding: OtlpEncoding,
  httpStatus: number,
  message: string,
): void {
  const status = { code: RPC_CODES[httpStatus] ?? 2, message };
  const body = encoding === 'application/json' ? JSON.stringify(status) : RpcStatus.encode(status).finish();
  send(response, httpStatus, encoding, body);
}

/** HTTP status → `google.rpc.Code`. 2 is UNKNOWN. */
const RPC_CODES: Readonly<Record<number, number>> = { 400: 3, 404: 5, 405: 12, 413: 8, 415: 3, 500: 13 };

function send(
  response: ServerResponse,
  status: number,
  encoding: OtlpEncoding,
  body: string | Uint8Array,
): void {
  response.writeHead(status, { 'content-type': encoding, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}
