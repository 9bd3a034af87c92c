import type { IncomingMessage } from '../shared/pubsub/message-source.ts';
import { RecentMap } from './recent-map.ts';

/** Messages whose deliveries are counted here; older ones are forgotten. */
const REMEMBERED = 10_000;

export interface DeliveryCounter {
  /**
   * The number of a delivery, from 1: Pub/Sub's own count, which every worker sees, where the subscription has a
   * dead-letter policy; else how often this process has seen the message.
   */
  numberOf(message: IncomingMessage): number;
  /** To be called when a message is handed back that was tried here several times: its next delivery counts them. */
  tried(message: IncomingMessage, attempts: number): void;
}

export function createDeliveryCounter(): DeliveryCounter {
  const seen = new RecentMap<string, number>(REMEMBERED);
  return {
    numberOf({ id, deliveryAttempt }) {
      const next = (seen.get(id) ?? 0) + 1;
      if (deliveryAttempt !== undefined) return Math.max(deliveryAttempt, next);
      seen.set(id, next);
      return next;
    },
    tried: ({ id }, attempts) => seen.set(id, attempts),
  };
}
