import { onTestFinished } from 'vitest';
import { createMessageOutbox, createOutbox, createRelay, type Outbox } from '../../publisher/index.ts';
import { createStreamingPullSource } from '../../shared/index.ts';
import { createArrivals } from '../../shared/trace/arrivals.ts';
import {
  createDeadLetterKeeper,
  createInbox,
  type DeadLetterKeeper,
  type DeadLetterKeeperOptions,
  type Inbox,
  type KeptLetter,
  type LetterSummary,
  listDeadLetters,
  type MessageOutbox,
} from '../../subscriber/index.ts';
import type { Channel, ChannelOptions } from './channel.ts';
import { type GatedDatabase, gateDatabase } from './gated-database.ts';
import { PATIENCE_MS } from './patience.ts';
import type { Stage } from './stage.ts';
import { createTestDatabase, type TestDatabase } from './test-database.ts';

/** A channel whose dead letters are kept and whose outbox is relayed, all in the test's process. */
export interface LetterLab {
  readonly db: TestDatabase;
  readonly database: GatedDatabase;
  readonly channel: Channel;
  readonly outbox: Outbox;
  /** For redrives. */
  readonly messages: MessageOutbox;
  inbox(): Inbox;
  /** A started keeper; stopped when the test ends. */
  keep(options?: Partial<DeadLetterKeeperOptions>): Promise<DeadLetterKeeper>;
  /** Sends what is in the outbox, until the test ends. */
  relay(options?: { readonly resendAfterMs?: number }): Promise<void>;
  /** Resolves when keepers have stored, or found stored, so many letters. */
  kept(count: number): Promise<readonly KeptLetter[]>;
  /** Resolves when relays have marked so many messages as sent. */
  sent(count: number): Promise<unknown>;
  /** All letters, the newest first. */
  letters(): Promise<LetterSummary[]>;
  /** The outbox: job ids. */
  enqueued(): Promise<string[]>;
}

export async function createLetterLab(stage: Stage, options: ChannelOptions = {}): Promise<LetterLab> {
  const db = await createTestDatabase();
  onTestFinished(() => db.close());
  const database = gateDatabase(db.database);
  const channel = await stage.newChannel({ ackDeadlineMs: 10_000, ...options });
  const kept: KeptLetter[] = [];
  let sent = 0;
  const arrivals = createArrivals(() => JSON.stringify({ kept, sent }));
  return {
    db,
    database,
    channel,
    outbox: createOutbox({ database, source: 'shop' }),
    messages: createMessageOutbox({ database }),
    inbox: () => createInbox({ database, consumer: channel.subscription, claimMs: 3_000 }),
    async keep(more) {
      const keeper = createDeadLetterKeeper({
        database,
        source: createStreamingPullSource(stage.connection, { subscription: channel.deadLetterTopic }),
        topic: channel.topic,
        onKept: (letter) => {
          kept.push(letter);
          arrivals.notify();
        },
        ...more,
      });
      onTestFinished(() => keeper.stop());
      await keeper.start();
      return keeper;
    },
    async relay(more) {
      const relay = createRelay({
        database,
        sink: channel.sink,
        pollMs: 50,
        onBatch: (batch) => {
          sent += batch.sent;
          arrivals.notify();
        },
        ...more,
      });
      onTestFinished(() => relay.stop());
      await relay.start();
    },
    kept: (count) => arrivals.waitFor(() => kept.length >= count && kept, { timeoutMs: PATIENCE_MS }),
    sent: (count) => arrivals.waitFor(() => sent >= count, { timeoutMs: PATIENCE_MS }),
    letters: () => listDeadLetters(database),
    async enqueued() {
      const { rows } = await database.query<{ job_id: string }>(
        'SELECT job_id FROM throughline.outbox ORDER BY id',
      );
      return rows.map(({ job_id }) => job_id);
    },
  };
}

/** Takes a message and hands it back until Pub/Sub forwards it to the dead-letter topic itself. */
export async function forwardByPubSub(stage: Stage, subscription: string, deliveries = 5): Promise<void> {
  const { projectId, subscriber } = stage.connection;
  const path = `projects/${projectId}/subscriptions/${subscription}`;
  for (let taken = 0; taken < deliveries; ) {
    const [{ receivedMessages }] = await subscriber.pull({ subscription: path, maxMessages: 1 });
    const ackIds = (receivedMessages ?? []).map(({ ackId }) => ackId ?? '');
    if (ackIds.length === 0) continue;
    taken += 1;
    await subscriber.modifyAckDeadline({ subscription: path, ackIds, ackDeadlineSeconds: 0 });
  }
}
