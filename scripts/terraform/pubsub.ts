import {
  type SubscriptionSpec,
  type TopicSpec,
  type Topology,
  withDefaults,
} from '../../shared/pubsub/topology.ts';
import { type Arguments, nameOf, type Resources, reference } from './document.ts';

const TOPIC = 'google_pubsub_topic';
const SUBSCRIPTION = 'google_pubsub_subscription';

/** Pub/Sub's own account, by which it forwards what a subscription has delivered too often. */
const SERVICE_AGENT =
  // biome-ignore lint/suspicious/noTemplateCurlyInString: Terraform's expression, not ours.
  'serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com';

/** Replacing one loses what it holds; then Terraform is to refuse, as `topology apply` does. */
const KEPT = { lifecycle: { prevent_destroy: true } };

/** What `throughline topology apply` would create, and what Pub/Sub itself needs for dead letters. */
export function pubsubResources({ topics, subscriptions }: Topology): Resources {
  const forwarding = subscriptions.filter(({ deadLetter }) => deadLetter !== undefined);
  const deadLetterTopics = [...new Set(forwarding.flatMap(({ deadLetter }) => deadLetter?.topic ?? []))];
  return {
    [TOPIC]: Object.fromEntries(topics.map((spec) => [nameOf(spec.name), topic(spec)])),
    [SUBSCRIPTION]: Object.fromEntries(subscriptions.map((spec) => [nameOf(spec.name), subscription(spec)])),
    [`${TOPIC}_iam_member`]: Object.fromEntries(
      deadLetterTopics.map((name) => [
        `pubsub_forwards_to_${nameOf(name)}`,
        topicGrant(name, 'roles/pubsub.publisher', SERVICE_AGENT),
      ]),
    ),
    [`${SUBSCRIPTION}_iam_member`]: Object.fromEntries(
      forwarding.map(({ name }) => [
        `pubsub_forwards_from_${nameOf(name)}`,
        subscriptionGrant(name, 'roles/pubsub.subscriber', SERVICE_AGENT),
      ]),
    ),
  };
}

export function topicGrant(topic: string, role: string, member: string): Arguments {
  return { project: PROJECT, topic: reference(TOPIC, topic, 'name'), role, member };
}

export function subscriptionGrant(subscription: string, role: string, member: string): Arguments {
  return { project: PROJECT, subscription: reference(SUBSCRIPTION, subscription, 'name'), role, member };
}

// biome-ignore lint/suspicious/noTemplateCurlyInString: Terraform's expression, not ours.
export const PROJECT = '${var.project_id}';

function topic({ name }: TopicSpec): Arguments {
  return { project: PROJECT, name, ...KEPT };
}

function subscription(spec: SubscriptionSpec): Arguments {
  const { ackDeadlineMs, enableMessageOrdering, filter, messageRetentionMs, deadLetter, retryPolicy } =
    withDefaults(spec);
  return {
    project: PROJECT,
    name: spec.name,
    topic: reference(TOPIC, spec.topic, 'id'),
    ack_deadline_seconds: Math.round(ackDeadlineMs / 1_000),
    enable_message_ordering: enableMessageOrdering,
    ...(filter !== '' && { filter }),
    message_retention_duration: seconds(messageRetentionMs),
    // Never: Pub/Sub would delete a subscription of dead letters that nobody has pulled for a month.
    expiration_policy: [{ ttl: '' }],
    ...(deadLetter && {
      dead_letter_policy: [
        {
          dead_letter_topic: reference(TOPIC, deadLetter.topic, 'id'),
          max_delivery_attempts: deadLetter.maxDeliveryAttempts,
        },
      ],
    }),
    ...(retryPolicy && {
      retry_policy: [
        {
          minimum_backoff: seconds(retryPolicy.minBackoffMs),
          maximum_backoff: seconds(retryPolicy.maxBackoffMs),
        },
      ],
    }),
    ...KEPT,
  };
}

function seconds(ms: number): string {
  return `${ms / 1_000}s`;
}
