import { status } from '@grpc/grpc-js';

export { status as grpcStatus };

/** The gRPC status code of an unknown error; undefined when it bears none. */
export function grpcCode(error: unknown): status | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  const { code } = error as { code?: unknown };
  return typeof code === 'number' ? code : undefined;
}

/** `NOT_FOUND`, `UNAVAILABLE` …, of an error of a gRPC call; undefined for any other. */
export function grpcCodeName(error: unknown): string | undefined {
  const code = grpcCode(error);
  return code === undefined || code === status.OK ? undefined : status[code];
}
