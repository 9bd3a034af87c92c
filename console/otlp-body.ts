import type { IncomingMessage } from 'node:http';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';

/** A request that is answered with an HTTP error; `status` is the HTTP status. */
export class RefusedRequestError extends Error {
  override readonly name = 'RefusedRequestError';
  readonly status: 400 | 404 | 405 | 413 | 415;

  constructor(status: RefusedRequestError['status'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
  }
}

export type OtlpEncoding = 'application/x-protobuf' | 'application/json';

/** Errors: RefusedRequestError 415 for any other media type. Parameters (`; charset=utf-8`) are ignored. */
export function encodingOf(request: IncomingMessage): OtlpEncoding {
  const type = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase();
  if (type === 'application/x-protobuf' || type === 'application/json') return type;
  throw new RefusedRequestError(415, 'The content type must be application/x-protobuf or application/json');
}

/** Errors: RefusedRequestError 413 beyond `maxBodyBytes`, 400 when the sender gave up half-way. */
export async function readBody(request: IncomingMessage, maxBodyBytes: number): Promise<Buffer> {
  if (Number(request.headers['content-length']) > maxBodyBytes) throw tooLarge(maxBodyBytes);
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    // Not destroyed on return: the answer has yet to be written to the same socket.
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > maxBodyBytes) throw tooLarge(maxBodyBytes);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof RefusedRequestError) throw error;
    throw new RefusedRequestError(400, 'The request ended before its body did', { cause: error });
  }
  return Buffer.concat(chunks, size);
}

const unzip = promisify<Buffer, { maxOutputLength: number }, Buffer>(gunzip);

/** Errors: RefusedRequestError 413 when it grows beyond `maxBodyBytes`, 400 when it is no gzip, 415 for other codings. */
export async function decompress(
  body: Buffer,
  coding: string | undefined,
  maxBodyBytes: number,
): Promise<Buffer> {
  const name = coding?.trim().toLowerCase() ?? 'identity';
  if (name === 'identity' || name === '') return body;
  if (name !== 'gzip') throw new RefusedRequestError(415, 'The content encoding must be gzip or identity');
  try {
    return await unzip(body, { maxOutputLength: maxBodyBytes });
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(maxBodyBytes);
    throw new RefusedRequestError(400, 'The body is not valid gzip', { cause: error });
  }
}

function tooLarge(maxBodyBytes: number): RefusedRequestError {
  return new RefusedRequestError(413, `The body is larger than ${maxBodyBytes} bytes`);
}
