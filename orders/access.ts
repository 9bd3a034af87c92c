import {
  JOBS_DEAD_LETTER_TOPIC,
  JOBS_SUBSCRIPTION,
  JOBS_TOPIC,
  NOTIFICATIONS_DEAD_LETTER_TOPIC,
  NOTIFICATIONS_SUBSCRIPTION,
  NOTIFICATIONS_TOPIC,
  RESULTS_DEAD_LETTER_TOPIC,
  RESULTS_SUBSCRIPTION,
  RESULTS_TOPIC,
} from './contract.ts';

/** What one process does with Pub/Sub, and may therefore do. Names are short ones. */
export interface PubSubAccess {
  /** Of its service account: 6 to 30 lower-case letters, digits and hyphens. */
  readonly account: string;
  readonly description: string;
  /** Topics. */
  readonly publishes: readonly string[];
  /** Subscriptions. At its start a worker looks at them, too. */
  readonly subscribes: readonly string[];
  /** Whether it looks at every topic and subscription, as `throughline topology diff` does. */
  readonly inspects: boolean;
}

/**
 * The shop's processes, with a relay as one of them (`THROUGHLINE_RELAY=off` in the others: what an outbox holds may go to
 * any topic). A worker publishes dead letters, and a fresh message on its own topic where Pub/Sub would soon count one out.
 */
export const ACCESS: readonly PubSubAccess[] = [
  {
    account: 'order-service',
    description: 'Takes orders and runs their sagas',
    publishes: [RESULTS_TOPIC, RESULTS_DEAD_LETTER_TOPIC],
    subscribes: [RESULTS_SUBSCRIPTION],
    inspects: false,
  },
  {
    account: 'order-worker',
    description: 'Does the jobs of orders, sends campaigns, keeps dead letters',
    publishes: [JOBS_TOPIC, JOBS_DEAD_LETTER_TOPIC, NOTIFICATIONS_TOPIC, NOTIFICATIONS_DEAD_LETTER_TOPIC],
    subscribes: [
      JOBS_SUBSCRIPTION,
      NOTIFICATIONS_SUBSCRIPTION,
      JOBS_DEAD_LETTER_TOPIC,
      RESULTS_DEAD_LETTER_TOPIC,
      NOTIFICATIONS_DEAD_LETTER_TOPIC,
    ],
    inspects: false,
  },
  {
    account: 'order-relay',
    description: 'Publishes what the outbox holds',
    publishes: [JOBS_TOPIC, RESULTS_TOPIC, NOTIFICATIONS_TOPIC],
    subscribes: [],
    inspects: false,
  },
  {
    account: 'order-operator',
    description: 'Runs the command line; it redrives through the outbox, so it publishes nothing',
    publishes: [],
    subscribes: [],
    inspects: true,
  },
];
