import type { protos } from '@google-cloud/pubsub';
import { type PubSubConnection, subscriptionPath, topicPath } from './connection.ts';
import { grpcCode, grpcStatus } from './grpc-status.ts';

/** Between a topology's plain fields and Pub/Sub's resources. */

/** The comparable form of a subscription: every field present, `undefined` for "not set". */
export interface SubscriptionState {
  readonly topic: string;
  readonly ackDeadlineMs: number;
  readonly enableMessageOrdering: boolean;
  readonly filter: string;
  readonly deadLetter: { readonly topic: string; readonly maxDeliveryAttempts: number } | undefined;
  readonly retryPolicy: { readonly minBackoffMs: number; readonly maxBackoffMs: number } | undefined;
  readonly messageRetentionMs: number;
}

type Subscription = protos.google.pubsub.v1.ISubscription;
type WireDuration = protos.google.protobuf.IDuration;

/** The name that each field has in an update mask. */
const MASKS: Record<keyof SubscriptionState, string> = {
  topic: 'topic',
  ackDeadlineMs: 'ack_deadline_seconds',
  enableMessageOrdering: 'enable_message_ordering',
  filter: 'filter',
  deadLetter: 'dead_letter_policy',
  retryPolicy: 'retry_policy',
  messageRetentionMs: 'message_retention_duration',
};

export async function readTopic(connection: PubSubConnection, name: string): Promise<boolean> {
  const topic = topicPath(connection.projectId, name);
  return (await unlessMissing(connection.publisher.getTopic({ topic }))) !== undefined;
}

export async function readSubscription(
  connection: PubSubConnection,
  name: string,
): Promise<SubscriptionState | undefined> {
  const subscription = subscriptionPath(connection.projectId, name);
  const found = await unlessMissing(connection.subscriber.getSubscription({ subscription }));
  return found && toState(found[0]);
}

function toState(found: Subscription): SubscriptionState {
  const { deadLetterPolicy, retryPolicy } = found;
  return {
    topic: shortName(found.topic),
    ackDeadlineMs: (found.ackDeadlineSeconds ?? 0) * 1_000,
    enableMessageOrdering: found.enableMessageOrdering ?? false,
    filter: found.filter ?? '',
    deadLetter: deadLetterPolicy?.deadLetterTopic
      ? {
          topic: shortName(deadLetterPolicy.deadLetterTopic),
          maxDeliveryAttempts: deadLetterPolicy.maxDeliveryAttempts ?? 0,
        }
      : undefined,
    retryPolicy: retryPolicy
      ? {
          minBackoffMs: fromDuration(retryPolicy.minimumBackoff),
          maxBackoffMs: fromDuration(retryPolicy.maximumBackoff),
        }
      : undefined,
    messageRetentionMs: fromDuration(found.messageRetentionDuration),
  };
}

export function subscriptionRequest(connection: PubSubConnection, name: string, state: SubscriptionState) {
  const { projectId } = connection;
  const request: Subscription = {
    name: subscriptionPath(projectId, name),
    topic: topicPath(projectId, state.topic),
    ackDeadlineSeconds: Math.round(state.ackDeadlineMs / 1_000),
    enableMessageOrdering: state.enableMessageOrdering,
    filter: state.filter,
    // Never: by default Pub/Sub deletes a subscription that nobody has pulled for 31 days, as one of dead letters often is.
    expirationPolicy: {},
    messageRetentionDuration: toDuration(state.messageRetentionMs),
    deadLetterPolicy: state.deadLetter
      ? {
          deadLetterTopic: topicPath(projectId, state.deadLetter.topic),
          maxDeliveryAttempts: state.deadLetter.maxDeliveryAttempts,
        }
      : null,
    retryPolicy: state.retryPolicy
      ? {
          minimumBackoff: toDuration(state.retryPolicy.minBackoffMs),
          maximumBackoff: toDuration(state.retryPolicy.maxBackoffMs),
        }
      : null,
  };
  return { request, maskOf: (field: string) => MASKS[field as keyof SubscriptionState] };
}

async function unlessMissing<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (grpcCode(error) === grpcStatus.NOT_FOUND) return undefined;
    throw error;
  }
}

function shortName(path: string | null | undefined): string {
  return path?.split('/').at(-1) ?? '';
}

function toDuration(ms: number): WireDuration {
  return { seconds: Math.floor(ms / 1_000), nanos: Math.round((ms % 1_000) * 1e6) };
}

function fromDuration(duration: WireDuration | null | undefined): number {
  return Number(duration?.seconds ?? 0) * 1_000 + (duration?.nanos ?? 0) / 1e6;
}
