import type { z } from 'zod';
import {
  createOutbox,
  createRelay,
  type Outbox,
  type Relay,
  type RelayOptions,
} from '../../publisher/index.ts';
import type { EnqueueOptions } from '../../publisher/outbox.ts';
import type { Job } from '../../shared/index.ts';
import type { Database } from '../../shared/storage/database.ts';
import { createArrivals } from '../../shared/trace/arrivals.ts';
import { createInbox, type Inbox } from '../../subscriber/index.ts';
import { createTestDatabase, type TestDatabase } from './test-database.ts';

/** A database with its outbox, and the relays and inboxes that a test starts on it. */
export interface OutboxLab {
  readonly db: TestDatabase;
  readonly database: Database;
  readonly outbox: Outbox;
  /** Stores a job in a transaction of its own; the job's id. */
  enqueue<Schema extends z.ZodType>(
    job: Job<Schema>,
    payload: z.input<Schema>,
    options?: EnqueueOptions,
  ): Promise<string>;
  /** Starts a relay that stops with the test's `stopAll`. It looks for rows only when told, unless `pollMs` is given. */
  relay(options: Partial<RelayOptions> & Pick<RelayOptions, 'sink'>): Promise<Relay>;
  inbox(consumer: string): Inbox;
  rows(): Promise<readonly StoredRow[]>;
  /** Resolves when the relays of this lab have sent `count` rows together. */
  sent(count: number): Promise<void>;
  /** Resolves when rows could not be sent `count` times. */
  failed(count: number): Promise<void>;
  /** Stops the relays, and empties outbox and inbox. */
  reset(): Promise<void>;
  close(): Promise<void>;
}

export interface StoredRow {
  readonly job_id: string;
  readonly carrier: Readonly<Record<string, string>>;
  readonly sends: number;
  readonly is_sent: boolean;
  readonly last_error: string | null;
}

const NEVER_MS = 3_600_000;
const TIMEOUT_MS = 20_000;

export async function createOutboxLab(): Promise<OutboxLab> {
  const db = await createTestDatabase();
  const { database } = db;
  const outbox = createOutbox({ database, source: 'shop' });
  const relays: Relay[] = [];
  let sent = 0;
  let failed = 0;
  const arrivals = createArrivals(() => `${sent} rows sent, ${failed} failed`);
  const until = async (isReached: () => boolean) => {
    await arrivals.waitFor(isReached, { timeoutMs: TIMEOUT_MS });
  };
  const reset = async () => {
    await Promise.all(relays.splice(0).map((relay) => relay.stop()));
    await database.query('TRUNCATE throughline.outbox, throughline.inbox');
    sent = 0;
    failed = 0;
  };
  return {
    db,
    database,
    outbox,
    async enqueue(job, payload, options) {
      return database.transaction(async (tx) => (await outbox.enqueue(tx, job, payload, options)).jobId);
    },
    async relay(options) {
      const relay = createRelay({
        database,
        pollMs: NEVER_MS,
        ...options,
        onBatch: (batch) => {
          sent += batch.sent;
          failed += batch.failures.length;
          options.onBatch?.(batch);
          arrivals.notify();
        },
      });
      relays.push(relay);
      await relay.start();
      return relay;
    },
    inbox: (consumer) => createInbox({ database, consumer, claimMs: 5_000 }),
    async rows() {
      const { rows } = await database.query<StoredRow & Record<string, unknown>>(
        `SELECT job_id, carrier, sends, sent_at IS NOT NULL AS is_sent, last_error
         FROM throughline.outbox ORDER BY id`,
      );
      return rows;
    },
    sent: (count) => until(() => sent >= count),
    failed: (count) => until(() => failed >= count),
    reset,
    async close() {
      await reset();
      await db.close();
    },
  };
}
