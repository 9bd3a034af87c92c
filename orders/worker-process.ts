import { createOutbox, createRelay } from '../publisher/index.ts';
import { type Config, ConfigError, createBatchSink, createStreamingPullSource } from '../shared/index.ts';
import { assertMigrated } from '../shared/storage/migrate.ts';
import { THROUGHLINE_MIGRATIONS } from '../shared/storage/migrations/index.ts';
import { assertInstrumented } from '../shared/trace/instrumentation.ts';
import {
  createDeadLetterKeeper,
  createFences,
  createInbox,
  createWorker,
  observeFences,
} from '../subscriber/index.ts';
import { createNotifications } from './campaign/notifications.ts';
import { createUnsubscribeLinks } from './campaign/unsubscribe.ts';
import {
  JOBS_DEAD_LETTER_TOPIC,
  JOBS_SUBSCRIPTION,
  JOBS_TOPIC,
  NOTIFICATIONS_DEAD_LETTER_TOPIC,
  NOTIFICATIONS_TOPIC,
  RESULTS_DEAD_LETTER_TOPIC,
  RESULTS_TOPIC,
} from './contract.ts';
import { createPartners } from './partners/partners.ts';
import { runProcess } from './process.ts';
import { registerOrderHandlers } from './worker.ts';

/** Dead letters are few: one stream is enough, and not much of the process's memory. */
const KEEPER_PULLS = { streams: 1, maxOutstandingMessages: 200, maxOutstandingBytes: 20_000_000 };

/** Errors: ConfigError, NotInstrumentedError, SchemaError, SubscriptionMissingError. */
export async function runWorker(config: Config): Promise<void> {
  assertInstrumented(['pg', 'fetch']);
  const { partnersUrl } = config;
  if (partnersUrl === undefined)
    throw new ConfigError(['PARTNERS_URL: expected an http:// or https:// address']);
  await runProcess(config, 'order-worker', async ({ name, logger, connection, database }) => {
    await assertMigrated(database, [THROUGHLINE_MIGRATIONS]);
    const sink = createBatchSink(connection);
    const outbox = createOutbox({ database, source: name });
    const { drainMs: drainTimeoutMs } = config;
    const worker = createWorker({
      source: createStreamingPullSource(connection, {
        subscription: JOBS_SUBSCRIPTION,
        ackDeadlineMs: config.ackDeadlineMs,
      }),
      sink,
      topic: JOBS_TOPIC,
      deadLetterTopic: JOBS_DEAD_LETTER_TOPIC,
      inbox: createInbox({ database, consumer: JOBS_SUBSCRIPTION, claimMs: config.leaseMs, logger }),
      fences: createFences({ database, logger }),
      drainTimeoutMs,
      logger,
    });
    const partners = createPartners({ baseUrl: partnersUrl, logger });
    registerOrderHandlers(worker, { outbox, partners });
    const { ackDeadlineMs, leaseMs, signingSecret: secret, publicUrl } = config;
    const notifications = createNotifications({
      ...{ name, connection, database, sink, partners, ackDeadlineMs, leaseMs, drainTimeoutMs, logger },
      unsubscribeLinks: secret && publicUrl ? createUnsubscribeLinks({ secret, publicUrl }) : undefined,
    });
    const keeperOf = (topic: string, subscription: string) =>
      createDeadLetterKeeper({
        database,
        source: createStreamingPullSource(connection, {
          subscription,
          ackDeadlineMs: config.ackDeadlineMs,
          ...KEEPER_PULLS,
        }),
        topic,
        logger,
      });
    const keepers = [
      keeperOf(JOBS_TOPIC, JOBS_DEAD_LETTER_TOPIC),
      keeperOf(RESULTS_TOPIC, RESULTS_DEAD_LETTER_TOPIC),
      keeperOf(NOTIFICATIONS_TOPIC, NOTIFICATIONS_DEAD_LETTER_TOPIC),
    ];
    const { resendAfterMs } = config;
    const relay =
      config.relay === 'embedded' ? createRelay({ database, sink, logger, resendAfterMs }) : undefined;
    await Promise.all([
      worker.start(),
      notifications.start(),
      relay?.start(),
      ...keepers.map((keeper) => keeper.start()),
    ]);
    const gauge = observeFences(database);
    return {
      stop: async () => {
        gauge.stop();
        const [{ handedBack }] = await Promise.all([
          worker.stop(),
          notifications.stop(),
          ...keepers.map((keeper) => keeper.stop()),
        ]);
        await relay?.stop();
        logger.info({ handedBack }, 'worker stopped');
      },
    };
  });
}
