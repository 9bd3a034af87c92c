import type { IncomingMessage } from '../shared/pubsub/message-source.ts';

/** Messages whose deliveries are counted here; the oldest is forgotten first. */
const REMEMBERED = 10_000;

/**
 * The number of a delivery, from 1: Pub/Sub's own count, which every worker sees, where the subscription has a dead-letter
 * policy; else how often this process has seen the message.
 */
export function createDeliveryCounter(): (message: IncomingMessage) => number {
  const seen = new Map<string, number>();
  return ({ id, deliveryAttempt }) => {
    if (deliveryAttempt !== undefined) return deliveryAttempt;
    const number = (seen.get(id) ?? 0) + 1;
    seen.delete(id);
    seen.set(id, number);
    if (seen.size > REMEMBERED) {
      const [oldest] = seen.keys();
      if (oldest !== undefined) seen.delete(oldest);
    }
    return number;
  };
}
