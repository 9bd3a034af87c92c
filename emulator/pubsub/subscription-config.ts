import type { protos } from '@google-cloud/pubsub';
import type { RetryPolicy } from './backoff.ts';
import { DAY_MS, fromMs, MINUTE_MS, readDuration, toMs } from './duration.ts';
import { type Filter, parseFilter } from './filter.ts';
import { checkName } from './names.ts';
import { invalidArgument } from './status.ts';
import { refuseFields } from './supported-fields.ts';
import { type MaskRules, onlyMasked, readUpdateMask } from './update-mask.ts';

type ProtoSubscription = protos.google.pubsub.v1.ISubscription;

export interface DeadLetterPolicy {
  readonly deadLetterTopic: string;
  readonly maxDeliveryAttempts: number;
}

export interface SubscriptionConfig {
  readonly name: string;
  readonly topic: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly ackDeadlineSeconds: number;
  readonly messageRetentionMs: number;
  /** Only seeking, which is refused, could show its effect; so it is kept. */
  readonly retainAckedMessages: boolean;
  readonly enableMessageOrdering: boolean;
  readonly enableExactlyOnceDelivery: boolean;
  /** Undefined: never. A day at least, longer than the emulator's memory is meant to last; so it is checked and kept. */
  readonly expirationTtlMs: number | undefined;
  readonly filter: Filter | undefined;
  readonly deadLetterPolicy: DeadLetterPolicy | undefined;
  readonly retryPolicy: RetryPolicy | undefined;
}

const REFUSED = {
  pushConfig: 'A push subscription',
  bigqueryConfig: 'A BigQuery subscription',
  cloudStorageConfig: 'A Cloud Storage subscription',
  bigtableConfig: 'A Bigtable subscription',
  messageTransforms: 'A subscription with message transforms',
  detached: 'Creating a detached subscription',
  tags: 'A subscription with tags',
};

const MASK: MaskRules = {
  request: 'UpdateSubscriptionRequest',
  updatable: new Set([
    'ack_deadline_seconds',
    'retain_acked_messages',
    'message_retention_duration',
    'labels',
    'expiration_policy',
    'dead_letter_policy',
    'retry_policy',
    'enable_exactly_once_delivery',
    'push_config',
    'bigquery_config',
    'cloud_storage_config',
    'bigtable_config',
    'message_transforms',
  ]),
  immutable: new Set(['name', 'topic', 'filter', 'enable_message_ordering', 'tags', 'detached']),
};

export function readSubscription(subscription: ProtoSubscription): SubscriptionConfig {
  refuseFields(subscription, REFUSED);
  return {
    name: subscription.name ?? '',
    topic: subscription.topic ?? '',
    labels: subscription.labels ?? {},
    ackDeadlineSeconds: readAckDeadline(subscription.ackDeadlineSeconds ?? 0),
    messageRetentionMs:
      readDuration(subscription.messageRetentionDuration, {
        field: 'message_retention_duration',
        minimumMs: 10 * MINUTE_MS,
        maximumMs: 31 * DAY_MS,
      }) ?? 7 * DAY_MS,
    retainAckedMessages: subscription.retainAckedMessages ?? false,
    enableMessageOrdering: subscription.enableMessageOrdering ?? false,
    enableExactlyOnceDelivery: subscription.enableExactlyOnceDelivery ?? false,
    expirationTtlMs: readExpiration(subscription.expirationPolicy),
    filter: subscription.filter ? parseFilter(subscription.filter) : undefined,
    deadLetterPolicy: readDeadLetterPolicy(subscription.deadLetterPolicy),
    retryPolicy: readRetryPolicy(subscription.retryPolicy),
  };
}

/** Only what the mask names counts, and what it names without a value returns to its default. */
export function updateSubscription(
  current: SubscriptionConfig,
  { subscription, updateMask }: protos.google.pubsub.v1.IUpdateSubscriptionRequest,
): SubscriptionConfig {
  const paths = readUpdateMask(updateMask, MASK);
  const changed = readSubscription(onlyMasked(subscription, paths));
  const pick = <Field extends keyof SubscriptionConfig>(path: string, field: Field) =>
    paths.has(path) ? changed[field] : current[field];
  return {
    ...current,
    labels: pick('labels', 'labels'),
    ackDeadlineSeconds: pick('ack_deadline_seconds', 'ackDeadlineSeconds'),
    messageRetentionMs: pick('message_retention_duration', 'messageRetentionMs'),
    retainAckedMessages: pick('retain_acked_messages', 'retainAckedMessages'),
    enableExactlyOnceDelivery: pick('enable_exactly_once_delivery', 'enableExactlyOnceDelivery'),
    expirationTtlMs: pick('expiration_policy', 'expirationTtlMs'),
    deadLetterPolicy: pick('dead_letter_policy', 'deadLetterPolicy'),
    retryPolicy: pick('retry_policy', 'retryPolicy'),
  };
}

export function writeSubscription(config: SubscriptionConfig): ProtoSubscription {
  const { deadLetterPolicy, retryPolicy, expirationTtlMs } = config;
  return {
    name: config.name,
    topic: config.topic,
    labels: { ...config.labels },
    pushConfig: {},
    ackDeadlineSeconds: config.ackDeadlineSeconds,
    messageRetentionDuration: fromMs(config.messageRetentionMs),
    retainAckedMessages: config.retainAckedMessages,
    enableMessageOrdering: config.enableMessageOrdering,
    enableExactlyOnceDelivery: config.enableExactlyOnceDelivery,
    expirationPolicy: expirationTtlMs === undefined ? {} : { ttl: fromMs(expirationTtlMs) },
    filter: config.filter?.text ?? '',
    deadLetterPolicy: deadLetterPolicy ? { ...deadLetterPolicy } : null,
    retryPolicy: retryPolicy
      ? {
          minimumBackoff: fromMs(retryPolicy.minimumBackoffMs),
          maximumBackoff: fromMs(retryPolicy.maximumBackoffMs),
        }
      : null,
    state: 'ACTIVE',
  };
}

function readAckDeadline(seconds: number): number {
  if (seconds === 0) return 10;
  if (seconds >= 10 && seconds <= 600) return seconds;
  throw invalidArgument(
    `The value for ack_deadline_seconds is out of bounds. You passed ${seconds} in the request, ` +
      'but the value must be between 10 and 600.',
  );
}

function readExpiration(policy: ProtoSubscription['expirationPolicy']): number | undefined {
  if (!policy) return 31 * DAY_MS;
  if (!policy.ttl) return undefined;
  const ttlMs = toMs(policy.ttl);
  if (ttlMs >= DAY_MS) return ttlMs;
  throw invalidArgument('The value for expiration_policy.ttl is too small: the minimum is 1 day.');
}

function readDeadLetterPolicy(policy: ProtoSubscription['deadLetterPolicy']): DeadLetterPolicy | undefined {
  if (!policy) return undefined;
  const deadLetterTopic = policy.deadLetterTopic ?? '';
  checkName(deadLetterTopic, 'topics');
  const maxDeliveryAttempts = policy.maxDeliveryAttempts || 5;
  if (maxDeliveryAttempts >= 5 && maxDeliveryAttempts <= 100) return { deadLetterTopic, maxDeliveryAttempts };
  throw invalidArgument(
    `The value for max_delivery_attempts is out of bounds. You passed ${maxDeliveryAttempts} in the request, ` +
      'but the value must be between 5 and 100.',
  );
}

function readRetryPolicy(policy: ProtoSubscription['retryPolicy']): RetryPolicy | undefined {
  if (!policy) return undefined;
  const bounds = { minimumMs: 0, maximumMs: 10 * MINUTE_MS };
  const minimumBackoffMs =
    readDuration(policy.minimumBackoff, { field: 'minimum_backoff', ...bounds }) ?? 10_000;
  const maximumBackoffMs =
    readDuration(policy.maximumBackoff, { field: 'maximum_backoff', ...bounds }) ?? 600_000;
  if (minimumBackoffMs > maximumBackoffMs)
    throw invalidArgument('The value for minimum_backoff must not be above maximum_backoff.');
  return { minimumBackoffMs, maximumBackoffMs };
}
