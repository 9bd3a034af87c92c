import { Metadata, status } from '@grpc/grpc-js';

/** An answer other than OK. grpc-js reads `code`, `details` and `metadata` from it. */
export class StatusError extends Error {
  override readonly name = 'StatusError';
  readonly code: status;
  readonly details: string;
  readonly metadata: Metadata;

  constructor(code: status, details: string, metadata = new Metadata()) {
    super(details);
    this.code = code;
    this.details = details;
    this.metadata = metadata;
  }
}

export const invalidArgument = (details: string): StatusError =>
  new StatusError(status.INVALID_ARGUMENT, details);

/** The text is the real service's, which people search for. */
export const notFound = (name: string): StatusError =>
  new StatusError(status.NOT_FOUND, `Resource not found (resource=${lastPart(name)}).`);

export const alreadyExists = (name: string): StatusError =>
  new StatusError(
    status.ALREADY_EXISTS,
    `Resource already exists in the project (resource=${lastPart(name)}).`,
  );

/** For everything that this emulator does not do: it says so rather than pretend. */
export const unsupported = (what: string): StatusError =>
  new StatusError(status.UNIMPLEMENTED, `${what} is not supported by the embedded Pub/Sub emulator.`);

export const unavailable = (details: string): StatusError => new StatusError(status.UNAVAILABLE, details);

export function toStatusError(error: unknown): StatusError {
  if (error instanceof StatusError) return error;
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return new StatusError(status.INTERNAL, `The emulator failed: ${text}`);
}

function lastPart(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1);
}
