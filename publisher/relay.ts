import type { Logger } from '../shared/log.ts';
import { checkNumbers } from '../shared/options.ts';
import { MAX_REQUEST_MESSAGES } from '../shared/pubsub/limits.ts';
import type { MessageSink } from '../shared/pubsub/message-sink.ts';
import type { Database } from '../shared/storage/database.ts';
import { errorMessage } from '../shared/trace/record-error.ts';
import { createLoop } from './loop.ts';
import { OUTBOX_CHANNEL } from './outbox.ts';
import { type Lane, RESEND_ROWS, resendForgotten, takeUnsent } from './outbox-rows.ts';
import { type RelayBatch, sendBatch } from './relay-batch.ts';
import { createDueJobs } from './relay-due.ts';
import { createTopicPauses, type TopicPauses } from './relay-pauses.ts';

/**
 * Sends what the outbox holds. Any number of relays may run, in any processes.
 *
 * O1. A row is marked as sent in the transaction that holds its lock, after Pub/Sub has stored the message.
 * O2. Rows with an ordering key are sent by one relay at a time, in the order in which they were enqueued.
 * O3. A row stays until its job is finished (the inbox removes it). What was sent and did not finish in time is sent again:
 *     a broker may forget everything.
 * O4. A row that cannot be sent does not keep its neighbours from being sent.
 * O5. A row is locked for `publishTimeoutMs` and the marking of its batch, whatever Pub/Sub does: whoever finishes a job waits
 *     for that lock. What there was no time for is handed back, and a topic that hangs is left alone for a while.
 * O6. A delayed job is not sent before it is due. Then it joins the outbox, in the order in which such jobs became due, and is like
 *     any other.
 */
export interface RelayOptions {
  readonly database: Database;
  readonly sink: MessageSink;
  /** Rows in a batch. Default 500, at most 1_000. */
  readonly batchSize?: number;
  /** How often is looked for rows, besides being notified, in ms. Default 1_000. */
  readonly pollMs?: number;
  /**
   * After this a job that was sent, and is not known to be finished, is sent again, in ms; after four sends twice as long, and
   * from then on four times as long, lest a backlog grows by itself. Well below the time within which somebody expects the
   * job's result (a quarter of a saga's shortest job step, or less), because the job and its result may both be forgotten. A
   * job that still runs is not harmed. Default 120_000.
   */
  readonly resendAfterMs?: number;
  /**
   * How long Pub/Sub may take to store a batch, all its requests together, in ms. Well below the databases' `lockTimeoutMs`: a
   * worker that finishes a job before its batch is marked waits for that. Default 5_000.
   */
  readonly publishTimeoutMs?: number;
  /** Jobs that are due later than this after they were enqueued begin a trace that is linked to the old one, in ms. Default 900_000. */
  readonly continueWithinMs?: number;
  /** Baggage members that may cross, as given to the outbox. Default: the order key and the saga's id. */
  readonly baggageKeys?: readonly string[];
  readonly logger?: Logger | undefined;
  /** Called after each batch, once it is marked. */
  readonly onBatch?: (batch: RelayBatch) => void;
}

export interface Relay {
  /** May be called twice. */
  start(): Promise<void>;
  /** Looks for rows now. */
  wake(): void;
  /** Finishes the batches under way. May be called twice. */
  stop(): Promise<void>;
}

export const DEFAULT_RESEND_AFTER_MS = 120_000;

/** Errors: OptionsError. */
export function createRelay(options: RelayOptions): Relay {
  checkNumbers('createRelay', options, {
    batchSize: { min: 1, max: MAX_REQUEST_MESSAGES, whole: true },
    pollMs: { min: 10 },
    resendAfterMs: { min: 100 },
    publishTimeoutMs: { min: 100 },
    continueWithinMs: { min: 0 },
  });
  const {
    database,
    pollMs = 1_000,
    resendAfterMs = DEFAULT_RESEND_AFTER_MS,
    publishTimeoutMs = 5_000,
    continueWithinMs = 900_000,
    logger,
  } = options;
  const pauses = createTopicPauses({ firstMs: publishTimeoutMs * 2, longestMs: publishTimeoutMs * 12 });
  const lanes = (['unordered', 'ordered'] as const).map((lane) =>
    createLoop((isStopped) => drain({ ...options, publishTimeoutMs, pauses, lane }, isStopped), logger),
  );
  let started: Promise<void> | undefined;
  let stopped: Promise<void> | undefined;
  let timers: NodeJS.Timeout[] = [];
  let unlisten: (() => Promise<void>) | undefined;

  const wake = () => {
    for (const lane of lanes) lane.trigger();
  };
  const due = createDueJobs({ database, continueWithinMs, onMoved: wake, logger });
  const resend = createLoop(async (isStopped) => {
    for (let rows = RESEND_ROWS; rows === RESEND_ROWS && !isStopped(); ) {
      rows = await resendForgotten(database, resendAfterMs);
      if (rows === 0) return;
      logger?.warn({ rows }, 'jobs that were sent long ago are not finished; they are sent again');
      wake();
    }
  }, logger);

  const start = async () => {
    const look = () => {
      wake();
      due.trigger();
    };
    const hear = () => {
      wake();
      due.triggerSoon();
    };
    timers = [setInterval(look, pollMs), setInterval(resend.trigger, Math.min(resendAfterMs / 4, 60_000))];
    unlisten = await database.listen(OUTBOX_CHANNEL, hear);
    due.trigger();
    resend.trigger();
  };
  const stop = async () => {
    for (const timer of timers) clearInterval(timer);
    const idle = [...lanes, resend, due].map((loop) => loop.stop()); // first, so that no further batch is begun
    await started;
    await unlisten?.();
    await Promise.all(idle);
  };
  return {
    start: () => (started ??= start()),
    wake,
    stop: () => (stopped ??= stop()),
  };
}

interface DrainOptions extends RelayOptions {
  readonly publishTimeoutMs: number;
  readonly pauses: TopicPauses;
  readonly lane: Lane;
}

/** Sends batches until there is nothing (more) to be sent now, or the relay is stopped. */
async function drain(options: DrainOptions, isStopped: () => boolean): Promise<void> {
  const { database, batchSize = 500, publishTimeoutMs, pauses, lane, logger } = options;
  while (!isStopped()) {
    const batch = await database.transaction(async (tx) => {
      const rows = await takeUnsent(tx, { lane, limit: batchSize, except: pauses.paused() });
      if (rows.length === 0) return undefined;
      return sendBatch(tx, rows, { ...options, timeoutMs: publishTimeoutMs });
    });
    if (!batch) return;
    options.onBatch?.(batch);
    for (const { topic, error, rows } of batch.failures) {
      logger?.warn({ topic, rows, err: error }, `jobs could not be sent: ${errorMessage(error)}`);
    }
    if (batch.taken < batchSize && batch.handedBack === 0) return;
  }
}
