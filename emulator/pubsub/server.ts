import { Server, ServerCredentials, type ServiceDefinition } from '@grpc/grpc-js';
import { Broker } from './broker.ts';
import { type Clock, systemClock } from './clock.ts';
import { loadDefinitions } from './definitions.ts';
import { type Method, refuseTheRest, withRawRequest, withRawResponse } from './handlers.ts';
import { publisherHandlers } from './publisher-service.ts';
import { subscriberHandlers } from './subscriber-service.ts';

export interface EmulatorOptions {
  /** 0, the default, takes any free port. */
  readonly port?: number;
  /** Default `127.0.0.1`: an emulator has no business on a public interface. */
  readonly host?: string;
  /** How long a pull without messages waits before it answers with none, in ms. Default 20_000. */
  readonly pullWaitMs?: number;
  readonly clock?: Clock;
}

export interface Emulator {
  /** What PUBSUB_EMULATOR_HOST takes: `127.0.0.1:8085`. */
  readonly host: string;
  readonly port: number;
  /** Ends every stream, forgets everything and frees the port. May be called twice. */
  close(): Promise<void>;
}

const SERVER_OPTIONS = {
  // Above Pub/Sub's own limit of 10 MB, so that too large a request gets an answer rather than a broken stream.
  'grpc.max_receive_message_length': 256 * 1024 * 1024,
  'grpc.max_send_message_length': -1,
  'grpc.max_concurrent_streams': 10_000,
};

/** Errors: the one of the socket, with its `code` (`EADDRINUSE`), when the port is taken. */
export async function startEmulator(options: EmulatorOptions = {}): Promise<Emulator> {
  const { port = 0, host = '127.0.0.1', pullWaitMs = 20_000, clock = systemClock } = options;
  const broker = new Broker(clock);
  const server = new Server(SERVER_OPTIONS);
  addServices(server, broker, { clock, waitMs: pullWaitMs });
  const boundPort = await bind(server, `${host}:${port}`);
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= stop(server, broker);
    return closing;
  };
  return { host: `${host}:${boundPort}`, port: boundPort, close };
}

function addServices(server: Server, broker: Broker, pulling: { clock: Clock; waitMs: number }): void {
  const { publisher, subscriber, schemaService } = loadDefinitions();
  // The paths that every message takes read and write bytes themselves; all others use the loader's objects.
  const fastPublisher = adapt(publisher, {
    Publish: (method) => withRawRequest(withRawResponse(method)),
  });
  const fastSubscriber = adapt(subscriber, { Pull: withRawResponse, StreamingPull: withRawResponse });
  server.addService(fastPublisher, refuseTheRest(publisher, publisherHandlers(broker)));
  server.addService(fastSubscriber, refuseTheRest(subscriber, subscriberHandlers(broker, pulling)));
  server.addService(schemaService, refuseTheRest(schemaService, {}));
}

function adapt(
  definition: ServiceDefinition,
  changes: Readonly<Record<string, (method: Method) => Method>>,
): ServiceDefinition {
  const changed = Object.entries(changes).map(([name, change]) => [name, change(definition[name] as Method)]);
  return { ...definition, ...Object.fromEntries(changed) };
}

function bind(server: Server, address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) => {
      if (error) reject(error);
      else resolve(port);
    });
  });
}

/** Streams are told first; whoever has not hung up by then is cut off. */
function stop(server: Server, broker: Broker): Promise<void> {
  broker.close();
  return new Promise((resolve) => {
    server.tryShutdown(() => resolve());
    setImmediate(() => server.forceShutdown());
  });
}
