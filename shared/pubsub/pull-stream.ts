import type { ClientDuplexStream, Metadata, StatusObject } from '@grpc/grpc-js';
import type { PubSubConnection } from './connection.ts';
import { grpcStatus } from './grpc-status.ts';
import type { IncomingMessage } from './message-source.ts';
import { routingHeader } from './routing-header.ts';
import { decodePullResponse, encodePullRequest, type PullRequest } from './wire.ts';

export interface PullStreamOptions extends PullRequest {
  readonly onMessage: (message: IncomingMessage) => void;
  readonly onError: (error: Error) => void;
}

/** The server closes idle streams; an empty request keeps one open. */
const KEEP_ALIVE_MS = 30_000;
/** How long the server may take to end its side of a stream that is being closed. */
const CLOSE_GRACE_MS = 1_000;
const MIN_RECONNECT_MS = 100;
const MAX_RECONNECT_MS = 10_000;

/** The server ends every stream now and then; these ends are no fault. */
const ROUTINE_ENDS = new Set([grpcStatus.OK, grpcStatus.UNAVAILABLE, grpcStatus.DEADLINE_EXCEEDED]);

export interface OpenPullStream {
  /**
   * Asks the server to end the stream. What is on its way still arrives: a stream that is cancelled takes messages
   * with it, which Pub/Sub then gives to nobody until their ack deadline. May be called twice.
   */
  close(): void;
  /** Settles when nothing more will arrive. */
  readonly ended: Promise<void>;
}

/**
 * One StreamingPull that is reopened whenever it ends, until it is closed.
 *
 * It speaks to the generated client's stub: the client's own wrapper would buffer responses a second time, and what is
 * buffered is leased but not worked on.
 */
export function openPullStream(connection: PubSubConnection, options: PullStreamOptions): OpenPullStream {
  let stream: PullStream | undefined;
  let reconnectTimer: NodeJS.Timeout | undefined;
  let failures = 0;
  let closed = false;
  let cutOff: NodeJS.Timeout | undefined;
  const ended = Promise.withResolvers<void>();

  const reconnect = (status: StatusObject) => {
    stream = undefined;
    if (closed) {
      clearTimeout(cutOff);
      ended.resolve();
      return;
    }
    if (!ROUTINE_ENDS.has(status.code)) options.onError(streamError(options.subscription, status));
    reopenSoon();
  };

  const reopenSoon = () => {
    const delay = Math.min(MAX_RECONNECT_MS, MIN_RECONNECT_MS * 2 ** Math.min(failures, 10));
    failures += 1;
    reconnectTimer = setTimeout(openOrReport, delay * (0.5 + Math.random() / 2));
  };

  const open = async () => {
    const opened = await startPull(connection, options.subscription);
    if (closed) return opened.cancel();
    stream = opened;
    opened.on('data', (messages: IncomingMessage[]) => {
      failures = 0;
      for (const message of messages) options.onMessage(message);
    });
    // The error says the same as the status that follows it; without a listener it would end the process.
    opened.on('error', () => {});
    opened.on('status', reconnect);
    opened.write(options);
  };

  const openOrReport = () => {
    open().catch((error) => {
      options.onError(error);
      if (!closed) reopenSoon();
    });
  };

  const keepAlive = setInterval(() => stream?.write('keep-alive'), KEEP_ALIVE_MS);
  openOrReport();
  return {
    ended: ended.promise,
    close() {
      if (closed) return;
      closed = true;
      clearInterval(keepAlive);
      clearTimeout(reconnectTimer);
      if (!stream) return ended.resolve();
      const open = stream;
      open.end();
      cutOff = setTimeout(() => open.cancel(), CLOSE_GRACE_MS);
    },
  };
}

/** Requests go in as they are, responses come out as messages. */
type PullStream = ClientDuplexStream<PullRequest | 'keep-alive', IncomingMessage[]>;

interface SubscriberStub {
  makeBidiStreamRequest(
    path: string,
    serialize: (request: PullRequest | 'keep-alive') => Buffer,
    deserialize: (bytes: Buffer) => IncomingMessage[],
    metadata: Metadata,
  ): PullStream;
}

async function startPull(connection: PubSubConnection, subscription: string): Promise<PullStream> {
  await connection.subscriber.initialize();
  // The generated client types its stub as a bag of functions; it is a gRPC client with the right credentials.
  const stub = (await connection.subscriber.subscriberStub) as unknown as SubscriberStub;
  return stub.makeBidiStreamRequest(
    '/google.pubsub.v1.Subscriber/StreamingPull',
    encodePullRequest,
    decodePullResponse,
    routingHeader('subscription', subscription),
  );
}

function streamError(subscription: string, { code, details }: StatusObject): Error {
  return Object.assign(new Error(`the stream of ${subscription} ended: ${grpcStatus[code]}: ${details}`), {
    code,
  });
}
