import { addAttributes, type Message } from './message.ts';
import { idOf, projectOf } from './names.ts';

/** The bytes to publish to the dead-letter topic: the message with its ordering key, and where it comes from. */
export function deadLetterBytes(message: Message, from: { subscription: string; failures: number }): Buffer {
  const publishedAt = new Date(message.publishedAtMs).toISOString().replace('Z', '+00:00');
  return addAttributes(message.encoded, {
    CloudPubSubDeadLetterSourceDeliveryCount: String(from.failures),
    CloudPubSubDeadLetterSourceSubscription: idOf(from.subscription),
    CloudPubSubDeadLetterSourceSubscriptionProject: projectOf(from.subscription),
    CloudPubSubDeadLetterSourceTopicPublishTime: publishedAt,
  });
}
