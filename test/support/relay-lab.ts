import { onTestFinished } from 'vitest';
import {
  createOutbox,
  createRelay,
  type Outbox,
  type Relay,
  type RelayBatch,
  type RelayOptions,
} from '../../publisher/index.ts';
import { openDatabase } from '../../shared/storage/database.ts';
import { createArrivals } from '../../shared/trace/arrivals.ts';
import { createMemorySink, type MemorySink } from '../fakes/memory-sink.ts';
import { PATIENCE_MS } from './patience.ts';
import type { TestDatabase } from './test-database.ts';

/** Relays and an outbox on one PostgreSQL. */
export interface RelayLab {
  readonly outbox: Outbox;
  /** Where relays of this lab publish unless told otherwise. */
  readonly sink: MemorySink;
  /** A started relay with connections of its own, as if it were a process; stopped when the test ends. */
  relay(options?: Partial<RelayOptions>): Promise<Relay>;
  /** Resolves when relays of this lab have marked `count` jobs as sent. */
  sent(count: number): Promise<readonly RelayBatch[]>;
  /** Resolves when `count` batches are done, those in which something failed included. */
  batches(count: number): Promise<readonly RelayBatch[]>;
  /** The outbox, in order. */
  rows(): Promise<Row[]>;
}

export interface Row {
  readonly job_id: string;
  readonly is_sent: boolean;
  readonly sends: number;
  readonly last_error: string | null;
}

export function createRelayLab({ database, url }: TestDatabase): RelayLab {
  const sink = createMemorySink();
  const done: RelayBatch[] = [];
  const arrivals = createArrivals(() => JSON.stringify(done, undefined, 1));
  return {
    outbox: createOutbox({ database, source: 'shop' }),
    sink,
    async relay(options) {
      const own = openDatabase({ connectionString: url, maxConnections: 4 });
      const relay = createRelay({
        database: own,
        sink,
        pollMs: 50,
        onBatch: (batch) => {
          done.push(batch);
          arrivals.notify();
        },
        ...options,
      });
      onTestFinished(async () => {
        await relay.stop();
        await own.close();
      });
      await relay.start();
      return relay;
    },
    sent: (count) =>
      arrivals.waitFor(() => done.reduce((sum, { sent }) => sum + sent, 0) >= count && done, {
        timeoutMs: PATIENCE_MS,
      }),
    batches: (count) => arrivals.waitFor(() => done.length >= count && done, { timeoutMs: PATIENCE_MS }),
    async rows() {
      const { rows } = await database.query<Row & Record<string, unknown>>(
        'SELECT job_id, sent_at IS NOT NULL AS is_sent, sends, last_error FROM throughline.outbox ORDER BY id',
      );
      return rows;
    },
  };
}
