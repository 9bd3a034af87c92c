import type { protos } from '@google-cloud/pubsub';
import { type ClientDuplexStream, Metadata, type StatusObject } from '@grpc/grpc-js';
import type { PubSubConnection } from './connection.ts';
import { grpcStatus } from './grpc-status.ts';

type Request = protos.google.pubsub.v1.IStreamingPullRequest;
type Response = protos.google.pubsub.v1.IStreamingPullResponse;
export type ReceivedMessage = protos.google.pubsub.v1.IReceivedMessage;

export interface PullStreamOptions {
  readonly subscription: string;
  readonly ackDeadlineSeconds: number;
  readonly maxOutstandingMessages: number;
  readonly maxOutstandingBytes: number;
  readonly clientId: string;
  readonly onMessages: (messages: readonly ReceivedMessage[]) => void;
  readonly onError: (error: Error) => void;
}

/** The server closes idle streams; an empty request keeps one open. */
const KEEP_ALIVE_MS = 30_000;
const MIN_RECONNECT_MS = 100;
const MAX_RECONNECT_MS = 10_000;

/** The server ends every stream now and then; these ends are no fault. */
const ROUTINE_ENDS = new Set([grpcStatus.OK, grpcStatus.UNAVAILABLE, grpcStatus.DEADLINE_EXCEEDED]);

/**
 * One StreamingPull that is reopened whenever it ends, until it is closed.
 *
 * It speaks to the generated client's stub: the client's own wrapper would buffer responses a second time, and what is
 * buffered is leased but not worked on.
 */
export function openPullStream(connection: PubSubConnection, options: PullStreamOptions): { close(): void } {
  let stream: ClientDuplexStream<Request, Response> | undefined;
  let reconnectTimer: NodeJS.Timeout | undefined;
  let failures = 0;
  let closed = false;

  const reconnect = (status: StatusObject) => {
    stream = undefined;
    if (closed) return;
    if (!ROUTINE_ENDS.has(status.code)) options.onError(streamError(options.subscription, status));
    const delay = Math.min(MAX_RECONNECT_MS, MIN_RECONNECT_MS * 2 ** Math.min(failures, 10));
    failures += 1;
    reconnectTimer = setTimeout(openOrReport, delay * (0.5 + Math.random() / 2));
  };

  const open = async () => {
    const opened = (await stub(connection)).streamingPull(routing(options.subscription));
    if (closed) return opened.cancel();
    stream = opened;
    opened.on('data', (response) => {
      failures = 0;
      if (response.receivedMessages?.length) options.onMessages(response.receivedMessages);
    });
    // The error says the same as the status that follows it; without a listener it would end the process.
    opened.on('error', () => {});
    opened.on('status', reconnect);
    opened.write(firstRequest(options));
  };

  const openOrReport = () => {
    open().catch(options.onError);
  };

  const keepAlive = setInterval(() => stream?.write({}), KEEP_ALIVE_MS);
  openOrReport();
  return {
    close() {
      closed = true;
      clearInterval(keepAlive);
      clearTimeout(reconnectTimer);
      stream?.cancel();
    },
  };
}

function firstRequest(options: PullStreamOptions): Request {
  return {
    subscription: options.subscription,
    streamAckDeadlineSeconds: options.ackDeadlineSeconds,
    maxOutstandingMessages: options.maxOutstandingMessages,
    maxOutstandingBytes: options.maxOutstandingBytes,
    clientId: options.clientId,
    protocolVersion: 1,
  };
}

function routing(subscription: string): Metadata {
  const metadata = new Metadata();
  metadata.set('x-goog-request-params', `subscription=${encodeURIComponent(subscription)}`);
  return metadata;
}

interface SubscriberStub {
  streamingPull(metadata: Metadata): ClientDuplexStream<Request, Response>;
}

async function stub(connection: PubSubConnection): Promise<SubscriberStub> {
  await connection.subscriber.initialize();
  // The generated client types its stub as a bag of functions.
  return (await connection.subscriber.subscriberStub) as unknown as SubscriberStub;
}

function streamError(subscription: string, { code, details }: StatusObject): Error {
  return Object.assign(new Error(`the stream of ${subscription} ended: ${grpcStatus[code]}: ${details}`), {
    code,
  });
}
