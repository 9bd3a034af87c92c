import type { protos } from '@google-cloud/pubsub';
import { invalidArgument } from './status.ts';

type ProtoRequest = protos.google.pubsub.v1.IStreamingPullRequest;

/** What any request on the stream may ask for. */
export interface StreamRequest {
  readonly ackIds: readonly string[];
  readonly modifyAckIds: readonly string[];
  readonly modifySeconds: readonly number[];
  /** Undefined: as before. */
  readonly ackDeadlineMs: number | undefined;
  /** The request was empty; a client that sends one waits for an answer. */
  readonly isKeepAlive: boolean;
}

export interface FirstRequest extends StreamRequest {
  readonly subscription: string;
  readonly maxOutstandingMessages: number;
  readonly maxOutstandingBytes: number;
}

export function readFirstRequest(request: ProtoRequest): FirstRequest {
  if (!request.subscription) throw invalidArgument('The first request must name the subscription.');
  return {
    ...readAcks(request),
    ackDeadlineMs: readAckDeadline(request.streamAckDeadlineSeconds ?? 0),
    subscription: request.subscription,
    maxOutstandingMessages: limitOf(request.maxOutstandingMessages),
    maxOutstandingBytes: limitOf(request.maxOutstandingBytes),
    isKeepAlive: false,
  };
}

/** These belong to the first request alone. */
const FIRST_ONLY = {
  subscription: 'subscription',
  maxOutstandingMessages: 'max_outstanding_messages',
  maxOutstandingBytes: 'max_outstanding_bytes',
  protocolVersion: 'protocol_version',
} as const;

export function readLaterRequest(request: ProtoRequest): StreamRequest {
  for (const [field, name] of Object.entries(FIRST_ONLY)) {
    if (request[field as keyof typeof FIRST_ONLY])
      throw invalidArgument(`${name} may only be set in the first request.`);
  }
  const acks = readAcks(request);
  const deadlineSeconds = request.streamAckDeadlineSeconds;
  const isKeepAlive = acks.ackIds.length === 0 && acks.modifyAckIds.length === 0 && !deadlineSeconds;
  const ackDeadlineMs = deadlineSeconds ? readAckDeadline(deadlineSeconds) : undefined;
  return { ...acks, ackDeadlineMs, isKeepAlive };
}

function readAcks(request: ProtoRequest) {
  const modifyAckIds = request.modifyDeadlineAckIds ?? [];
  const modifySeconds = request.modifyDeadlineSeconds ?? [];
  if (modifyAckIds.length !== modifySeconds.length)
    throw invalidArgument('modify_deadline_ack_ids and modify_deadline_seconds must have the same size.');
  for (const seconds of modifySeconds) checkDeadline(seconds);
  return { ackIds: request.ackIds ?? [], modifyAckIds, modifySeconds };
}

/** A deadline for messages that are outstanding: 0 is a nack. */
export function checkDeadline(seconds: number): void {
  if (seconds < 0) throw invalidArgument(`The ack deadline must not be negative (${seconds} s).`);
  if (seconds > 600) throw invalidArgument(`The ack deadline must not be above 600 s (${seconds} s).`);
}

function readAckDeadline(seconds: number): number {
  if (seconds >= 10 && seconds <= 600) return seconds * 1000;
  throw invalidArgument(
    `stream_ack_deadline_seconds must be between 10 and 600 seconds (stream_ack_deadline_seconds=${seconds}).`,
  );
}

function limitOf(value: ProtoRequest['maxOutstandingMessages']): number {
  const limit = Number(value ?? 0);
  return limit > 0 ? limit : Number.POSITIVE_INFINITY;
}
