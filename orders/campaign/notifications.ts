import { createCampaignRunner, observeCampaigns } from '../../publisher/campaign/index.ts';
import {
  createStreamingPullSource,
  type Logger,
  type MessageSink,
  type PubSubConnection,
} from '../../shared/index.ts';
import type { Database } from '../../shared/storage/database.ts';
import {
  createCampaignLedger,
  createFences,
  createInbox,
  createUncertainAsker,
  createWorker,
  handleDeliveries,
} from '../../subscriber/index.ts';
import {
  deliverNotification,
  NOTIFICATIONS_DEAD_LETTER_TOPIC,
  NOTIFICATIONS_SUBSCRIPTION,
  NOTIFICATIONS_TOPIC,
} from '../contract.ts';
import type { Partners } from '../partners/partners.ts';
import { CATALOGUE, createChannels } from './channels.ts';
import type { UnsubscribeLinks } from './unsubscribe.ts';

export interface NotificationsOptions {
  readonly name: string;
  readonly connection: PubSubConnection;
  readonly database: Database;
  readonly sink: MessageSink;
  readonly partners: Pick<Partners, 'mail' | 'push'>;
  /** Undefined: notifications have no link to unsubscribe by. */
  readonly unsubscribeLinks: UnsubscribeLinks | undefined;
  readonly ackDeadlineMs: number;
  readonly leaseMs: number;
  /** How long running deliveries may take once it stops, in ms. */
  readonly drainTimeoutMs: number;
  readonly logger: Logger;
}

/** Recipients that one process is sending to at a time. */
const MAX_IN_FLIGHT = 200;

/** All of a process that sends campaigns: what brings them forward, what sends, and what asks about lost answers. */
export function createNotifications(options: NotificationsOptions) {
  const { name, connection, database, sink, logger, ackDeadlineMs, leaseMs, drainTimeoutMs } = options;
  const channels = createChannels(options.partners, options.unsubscribeLinks);
  const worker = createWorker({
    source: createStreamingPullSource(connection, {
      subscription: NOTIFICATIONS_SUBSCRIPTION,
      ackDeadlineMs,
    }),
    sink,
    topic: NOTIFICATIONS_TOPIC,
    deadLetterTopic: NOTIFICATIONS_DEAD_LETTER_TOPIC,
    maxInFlight: MAX_IN_FLIGHT,
    inbox: createInbox({ database, consumer: NOTIFICATIONS_SUBSCRIPTION, claimMs: leaseMs, logger }),
    fences: createFences({ database, logger }),
    drainTimeoutMs,
    logger,
  });
  const ledger = createCampaignLedger(database);
  handleDeliveries(worker, { job: deliverNotification, ledger, channels });
  const asker = createUncertainAsker({ database, channels, logger });
  const runner = createCampaignRunner({
    ...CATALOGUE,
    ...{ database, job: deliverNotification, source: name, logger },
  });
  let gauges: { stop(): void } | undefined;
  return {
    async start(): Promise<void> {
      await Promise.all([worker.start(), asker.start(), runner.start()]);
      gauges = observeCampaigns(database);
    },
    async stop(): Promise<void> {
      gauges?.stop();
      await Promise.all([runner.stop(), worker.stop()]);
      await Promise.all([asker.stop(), ledger.drained()]);
    },
  };
}
