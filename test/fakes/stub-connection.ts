import type { PubSubConnection } from '../../shared/pubsub/connection.ts';

type Method = (request: Readonly<Record<string, unknown>>) => Promise<unknown>;

/** A connection to project `p` with only the calls that a test gives; each call is recorded as `[name, request]`. */
export function stubConnection(methods: {
  readonly publisher?: Readonly<Record<string, Method>>;
  readonly subscriber?: Readonly<Record<string, Method>>;
}): { readonly connection: PubSubConnection; readonly calls: readonly (readonly [string, unknown])[] } {
  const calls: [string, unknown][] = [];
  const record = (given: Readonly<Record<string, Method>> = {}) =>
    Object.fromEntries(
      Object.entries(given).map(([name, method]) => [
        name,
        (request: Readonly<Record<string, unknown>>) => {
          calls.push([name, request]);
          return method(request);
        },
      ]),
    );
  const connection = {
    projectId: 'p',
    publisher: record(methods.publisher),
    subscriber: record(methods.subscriber),
    close: async () => {},
  };
  return { connection: connection as unknown as PubSubConnection, calls };
}

/** What the client throws for a gRPC status. */
export function grpcError(code: number): Error {
  return Object.assign(new Error(`gRPC status ${code}`), { code });
}
