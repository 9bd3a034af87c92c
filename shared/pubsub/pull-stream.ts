import type { ClientDuplexStream, Metadata, StatusObject } from '@grpc/grpc-js';
import type { PubSubConnection } from './connection.ts';
import { grpcCode, grpcStatus } from './grpc-status.ts';
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
/** A stream that lived so long was a good one, whether it brought messages or not. */
const STABLE_MS = 10_000;

/** The server ends every stream now and then; such an end is a fault only when it comes again and again. */
const ROUTINE_ENDS = new Set([grpcStatus.OK, grpcStatus.UNAVAILABLE, grpcStatus.DEADLINE_EXCEEDED]);
/** Routine ends in a row before somebody is told: about three seconds without a stream. */
const PATIENCE = 5;

export interface OpenPullStream {
  /**
   * Puts a new stream in the place of this one, whose messages stay leased: flow control is counted by stream, and
   * messages that were postponed would fill a stream's allowance until they are due.
   */
  renew(): void;
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
 * buffered is leased but not worked on. Faults are reported when they begin and when they change, not at each attempt.
 */
export function openPullStream(connection: PubSubConnection, options: PullStreamOptions): OpenPullStream {
  let stream: PullStream | undefined;
  let openedAtMs = 0;
  let reconnectTimer: NodeJS.Timeout | undefined;
  let failures = 0;
  let reportedCode: number | undefined;
  let closed = false;
  /** Streams that may still bring messages, and openings under way. */
  const live = new Set<object>();
  const ended = Promise.withResolvers<void>();

  const settle = (gone: object) => {
    live.delete(gone);
    if (closed && live.size === 0) ended.resolve();
  };

  const recovered = () => {
    failures = 0;
    reportedCode = undefined;
  };

  const report = (error: Error, code: number | undefined) => {
    if (code === reportedCode) return;
    reportedCode = code;
    options.onError(error);
  };

  const reopenSoon = () => {
    const delay = Math.min(MAX_RECONNECT_MS, MIN_RECONNECT_MS * 2 ** Math.min(failures, 10));
    failures += 1;
    reconnectTimer = setTimeout(open, delay * (0.5 + Math.random() / 2));
  };

  const onStatus = (from: PullStream, status: StatusObject) => {
    settle(from);
    if (from !== stream) return; // it was replaced
    stream = undefined;
    if (closed) return;
    if (Date.now() - openedAtMs >= STABLE_MS) recovered();
    const isRoutine = ROUTINE_ENDS.has(status.code) && failures < PATIENCE;
    if (!isRoutine) report(streamError(options.subscription, status), status.code);
    reopenSoon();
  };

  const listen = (opened: PullStream) => {
    live.add(opened);
    opened.on('data', (messages: IncomingMessage[]) => {
      recovered();
      for (const message of messages) options.onMessage(message);
    });
    // The error says the same as the status that follows it; without a listener it would end the process.
    opened.on('error', () => {});
    opened.on('status', (status: StatusObject) => onStatus(opened, status));
  };

  const open = () => {
    const opening = {};
    live.add(opening);
    startPull(connection, options.subscription)
      .then((opened) => {
        listen(opened);
        if (closed) return opened.cancel();
        stream = opened;
        openedAtMs = Date.now();
        opened.write(options);
      })
      .catch((error) => {
        report(error, grpcCode(error));
        if (!closed) reopenSoon();
      })
      .finally(() => settle(opening));
  };

  const retire = () => {
    const old = stream;
    stream = undefined;
    if (!old) return;
    old.end();
    const cutOff = setTimeout(() => old.cancel(), CLOSE_GRACE_MS);
    old.on('status', () => clearTimeout(cutOff));
  };

  const keepAlive = setInterval(() => stream?.write('keep-alive'), KEEP_ALIVE_MS);
  open();
  return {
    ended: ended.promise,
    renew() {
      if (closed || !stream) return;
      retire();
      open();
    },
    close() {
      if (closed) return;
      closed = true;
      clearInterval(keepAlive);
      clearTimeout(reconnectTimer);
      retire();
      if (live.size === 0) ended.resolve();
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
