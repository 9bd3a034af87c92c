import { z } from 'zod';
import { defineDeliverJob } from '../publisher/campaign/index.ts';
import { defineJob, type Job, jobTopology, type Topology } from '../shared/index.ts';

/** What the order service and the worker agree on: the jobs of an order, and where they travel. */
export const JOBS_TOPIC = 'workspace-jobs';
export const JOBS_SUBSCRIPTION = 'workspace-jobs-worker';
export const JOBS_DEAD_LETTER_TOPIC = 'workspace-jobs-dead-letters';

/** On which the worker tells the order service's sagas what became of their jobs. */
export const RESULTS_TOPIC = 'order-results';
export const RESULTS_SUBSCRIPTION = 'order-results-service';
export const RESULTS_DEAD_LETTER_TOPIC = 'order-results-dead-letters';

/** On which campaigns travel: a million mails do not hold up the jobs of orders. */
export const NOTIFICATIONS_TOPIC = 'notifications';
export const NOTIFICATIONS_SUBSCRIPTION = 'notifications-worker';
export const NOTIFICATIONS_DEAD_LETTER_TOPIC = 'notifications-dead-letters';

const jobs = jobTopology({
  topic: JOBS_TOPIC,
  subscription: JOBS_SUBSCRIPTION,
  deadLetterTopic: JOBS_DEAD_LETTER_TOPIC,
});
const results = jobTopology({
  topic: RESULTS_TOPIC,
  subscription: RESULTS_SUBSCRIPTION,
  deadLetterTopic: RESULTS_DEAD_LETTER_TOPIC,
});

const notifications = jobTopology({
  topic: NOTIFICATIONS_TOPIC,
  subscription: NOTIFICATIONS_SUBSCRIPTION,
  deadLetterTopic: NOTIFICATIONS_DEAD_LETTER_TOPIC,
});

export const topology: Topology = {
  topics: [...jobs.topics, ...results.topics, ...notifications.topics],
  subscriptions: [...jobs.subscriptions, ...results.subscriptions, ...notifications.subscriptions],
};

const orderKey = z.string().min(1).max(128);

export const setUpWorkspace = defineJob({
  name: 'workspace.set-up',
  version: 1,
  topic: JOBS_TOPIC,
  payload: z.strictObject({ orderKey, domain: z.hostname(), email: z.email() }),
  retry: { maxAttempts: 3, minBackoffMs: 200, maxBackoffMs: 5_000 },
  timeoutMs: 30_000,
});

export const workspaceSchema = z.strictObject({ customerId: z.string().min(1) });

export const tearDownWorkspace = defineJob({
  name: 'workspace.tear-down',
  version: 1,
  topic: JOBS_TOPIC,
  /** `undoes` is the idempotency key of the set-up, because nobody may know whether it happened. */
  payload: z.strictObject({ orderKey, undoes: z.string().min(1).max(512) }),
  retry: { maxAttempts: 8, minBackoffMs: 500, maxBackoffMs: 60_000 },
  timeoutMs: 30_000,
});

export const sendNotification = defineJob({
  name: 'notification.send',
  version: 1,
  topic: JOBS_TOPIC,
  payload: z.strictObject({ orderKey, email: z.email(), template: z.enum(['order-confirmed']) }),
  retry: { maxAttempts: 10, minBackoffMs: 500, maxBackoffMs: 300_000 },
  timeoutMs: 30_000,
});

/** One recipient's part of a campaign. */
export const deliverNotification = defineDeliverJob({ topic: NOTIFICATIONS_TOPIC });

export const JOBS: readonly Job[] = [setUpWorkspace, tearDownWorkspace, sendNotification];
