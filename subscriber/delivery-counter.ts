import type { IncomingMessage } from '../shared/pubsub/message-source.ts';
import { RecentMap } from './recent-map.ts';

/** Messages whose deliveries are counted here; older ones are forgotten. */
const REMEMBERED = 10_000;

/**
 * The number of a delivery, from 1: Pub/Sub's own count, which every worker sees, where the subscription has a dead-letter
 * policy; else how often this process has seen the message.
 */
export function createDeliveryCounter(): (message: IncomingMessage) => number {
  const seen = new RecentMap<string, number>(REMEMBERED);
  return ({ id, deliveryAttempt }) => {
    if (deliveryAttempt !== undefined) return deliveryAttempt;
    const number = (seen.get(id) ?? 0) + 1;
    seen.set(id, number);
    return number;
  };
}
