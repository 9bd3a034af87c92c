import { context, ROOT_CONTEXT } from '@opentelemetry/api';
import type { Logger } from '../shared/log.ts';
import { checkNumbers } from '../shared/options.ts';
import { MAX_REQUEST_MESSAGES } from '../shared/pubsub/limits.ts';
import type { MessageSink } from '../shared/pubsub/message-sink.ts';
import type { Database } from '../shared/storage/database.ts';
import { errorMessage } from '../shared/trace/record-error.ts';
import { OUTBOX_CHANNEL } from './outbox.ts';
import { type Lane, RESEND_ROWS, resendForgotten, takeUnsent } from './outbox-rows.ts';
import { type RelayBatch, sendBatch } from './relay-batch.ts';

/**
 * Sends what the outbox holds. Any number of relays may run, in any processes.
 *
 * O1. A row is marked as sent in the transaction that holds its lock, after Pub/Sub has stored the message.
 * O2. Rows with an ordering key are sent by one relay at a time, in the order in which they were enqueued.
 * O3. A row stays until its job is finished (the inbox removes it). What was sent and did not finish in time is sent again:
 *     a broker may forget everything.
 * O4. A row that cannot be sent does not keep its neighbours from being sent.
 */
export interface RelayOptions {
  readonly database: Database;
  readonly sink: MessageSink;
  /** Rows in a batch. Default 500, at most 1_000. */
  readonly batchSize?: number;
  /** How often is looked for rows, besides being notified, in ms. Default 1_000. */
  readonly pollMs?: number;
  /**
   * After this a job that was sent, and is not known to be finished, is sent again, in ms. Longer than a job may take with
   * all its retries; a job that still runs is not harmed. Default 900_000.
   */
  readonly resendAfterMs?: number;
  /**
   * How long Pub/Sub may take to store a batch, in ms. Shorter than the databases' `lockTimeoutMs`: a worker that finishes a
   * job before its batch is marked waits for that. Default 8_000.
   */
  readonly publishTimeoutMs?: number;
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

/** Errors: OptionsError. */
export function createRelay(options: RelayOptions): Relay {
  checkNumbers('createRelay', options, {
    batchSize: { min: 1, max: MAX_REQUEST_MESSAGES, whole: true },
    pollMs: { min: 10 },
    resendAfterMs: { min: 100 },
    publishTimeoutMs: { min: 100 },
  });
  const { database, pollMs = 1_000, resendAfterMs = 900_000, logger } = options;
  const lanes = (['unordered', 'ordered'] as const).map((lane) =>
    createLoop((isStopped) => drain(options, lane, isStopped), logger),
  );
  let started: Promise<void> | undefined;
  let stopped: Promise<void> | undefined;
  let timers: NodeJS.Timeout[] = [];
  let unlisten: (() => Promise<void>) | undefined;

  const wake = () => {
    for (const lane of lanes) lane.trigger();
  };
  const resend = createLoop(async (isStopped) => {
    for (let rows = RESEND_ROWS; rows === RESEND_ROWS && !isStopped(); ) {
      rows = await resendForgotten(database, resendAfterMs);
      if (rows === 0) return;
      logger?.warn({ rows }, 'jobs that were sent long ago are not finished; they are sent again');
      wake();
    }
  }, logger);

  const start = async () => {
    timers = [setInterval(wake, pollMs), setInterval(resend.trigger, Math.min(resendAfterMs / 4, 60_000))];
    unlisten = await database.listen(OUTBOX_CHANNEL, wake);
    resend.trigger();
  };
  const stop = async () => {
    for (const timer of timers) clearInterval(timer);
    const idle = [...lanes, resend].map((loop) => loop.stop()); // first, so that no further batch is begun
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

/** Sends batches until there is nothing (more) to be sent now, or the relay is stopped. */
async function drain(options: RelayOptions, lane: Lane, isStopped: () => boolean): Promise<void> {
  const { database, sink, batchSize = 500, publishTimeoutMs = 8_000, baggageKeys, logger } = options;
  while (!isStopped()) {
    const batch = await database.transaction(async (tx) => {
      const rows = await takeUnsent(tx, lane, batchSize);
      if (rows.length === 0) return undefined;
      return sendBatch(tx, rows, { sink, timeoutMs: publishTimeoutMs, baggageKeys });
    });
    if (!batch) return;
    options.onBatch?.(batch);
    for (const { topic, error, rows } of batch.failures) {
      logger?.warn({ topic, rows, err: error }, `jobs could not be sent: ${errorMessage(error)}`);
    }
    if (batch.taken < batchSize) return;
  }
}

interface Loop {
  /** Runs the work now, or once more after the run under way. */
  trigger(): void;
  stop(): Promise<void>;
}

/** Never twice at the same time, and nobody's span is active in it. Failures are told and tried again at the next trigger. */
function createLoop(work: (isStopped: () => boolean) => Promise<void>, logger: Logger | undefined): Loop {
  let running: Promise<void> | undefined;
  let again = false;
  let isStopped = false;
  const run = async () => {
    while (again && !isStopped) {
      again = false;
      await work(() => isStopped).catch((error) =>
        logger?.warn({ err: error }, 'relaying failed; it will be tried again'),
      );
    }
    running = undefined;
  };
  return {
    trigger() {
      again = true;
      if (!isStopped) running ??= context.with(ROOT_CONTEXT, run);
    },
    async stop() {
      isStopped = true;
      await running;
    },
  };
}
