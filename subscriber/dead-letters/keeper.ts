import type { Logger } from '../../shared/log.ts';
import { checkNumbers } from '../../shared/options.ts';
import type { IncomingMessage, MessageSource } from '../../shared/pubsub/message-source.ts';
import { type Database, DatabaseUnavailableError } from '../../shared/storage/database.ts';
import { GroupCommit } from '../../shared/storage/group-commit.ts';
import { atMost } from '../../shared/time-limit.ts';
import { count } from '../../shared/trace/meters.ts';
import { errorType } from '../../shared/trace/record-error.ts';
import {
  ERROR_TYPE,
  MESSAGING_DESTINATION_NAME,
  MESSAGING_SUBSCRIPTION_NAME,
} from '../../shared/trace/semconv.ts';
import { createLeaseKeeper, type LeaseKeeper } from '../lease-keeper.ts';
import { type Letter, readLetter } from './letter.ts';
import { storeLetters, sweepLetters } from './letter-rows.ts';
import { observeOpenLetters } from './open-letters.ts';

/**
 * Takes what lies on a dead-letter subscription into PostgreSQL, where operators find it.
 *
 * D1. A letter is acked only after it was stored; one that cannot be stored now is handed back, and comes again.
 * D2. A death is stored once, however often its letter is published or delivered.
 */
export interface DeadLetterKeeperOptions {
  readonly database: Database;
  /** The dead-letter subscription. */
  readonly source: MessageSource;
  /** Short name of the topic to which jobs go when they are redriven. */
  readonly topic: string;
  /** In whose inbox (`createInbox`) the jobs are dead. Default: the name of the subscription at which they died. */
  readonly consumer?: string;
  /** How long letters are kept after the death, those that nobody dealt with included, in ms. Default 30 days. */
  readonly retainMs?: number;
  readonly logger?: Logger;
  /** Called after each letter was stored, or found to be stored already. */
  readonly onKept?: (letter: KeptLetter) => void;
}

export interface KeptLetter {
  readonly letterId: string;
  readonly jobId: string;
  readonly isNew: boolean;
}

export interface DeadLetterKeeper {
  /** Begins to pull. May be called twice. Errors: SubscriptionMissingError. */
  start(): Promise<void>;
  /** Stops pulling and waits for what is being stored. May be called twice. */
  stop(): Promise<void>;
}

/** How soon a letter comes back that could not be stored, in ms. */
const AGAIN_AFTER_MS = 5_000;
const MAX_LEASE_MS = 3_600_000;
const SWEEP_EVERY_MS = 60_000;
/** How long the end waits for what is being stored, in ms; then it is handed back. */
const STORE_GRACE_MS = 10_000;
/** Letters in a commit: a letter may have 10 MB. */
const GROUP_LETTERS = 20;

/** Errors: OptionsError. */
export function createDeadLetterKeeper(options: DeadLetterKeeperOptions): DeadLetterKeeper {
  checkNumbers('createDeadLetterKeeper', options, { retainMs: { min: 1_000 } });
  const { database, source, topic, consumer, retainMs = 2_592_000_000, logger } = options;
  const labels = { [MESSAGING_SUBSCRIPTION_NAME]: source.subscription };
  const stores = new GroupCommit<Letter, boolean>({
    commit: (letters) => storeLetters(database, { topic, consumer }, letters),
    maxItems: GROUP_LETTERS,
    isolates: (error) => !(error instanceof DatabaseUnavailableError),
  });
  const underWay = new Set<Promise<void>>();
  let leases: LeaseKeeper | undefined;
  let sweeping: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;
  let gauge: { stop(): void } | undefined;
  let isStopping = false;
  let started: Promise<void> | undefined;
  let stopped: Promise<void> | undefined;

  const keep = async (message: IncomingMessage) => {
    const letter = readLetter(message, source.subscription);
    const { letterId, jobId, givenUpBy } = letter;
    try {
      const isNew = await stores.add(letter);
      leases?.release(message);
      source.ack(message); // D1. Also after the lease was lost: it is stored.
      count('throughline.dead_letters.kept', { ...labels, given_up_by: givenUpBy }, isNew ? 1 : 0);
      logger?.debug({ letterId, jobId, isNew }, 'dead letter stored');
      tell(options, { letterId, jobId, isNew });
    } catch (error) {
      count('throughline.dead_letters.unkept', { ...labels, [ERROR_TYPE]: errorType(error) });
      logger?.error({ err: error, jobId }, 'a dead letter could not be stored; it will come again');
      if (leases?.release(message)) source.nack(message, isStopping ? 0 : AGAIN_AFTER_MS);
    }
  };

  const receive = (message: IncomingMessage) => {
    if (isStopping) return source.nack(message, 0);
    leases?.hold(message);
    const work = keep(message).finally(() => underWay.delete(work));
    underWay.add(work);
  };

  const sweep = () => {
    sweeping ??= sweepLetters(database, retainMs)
      .then(({ expired, open }) => {
        count('throughline.dead_letters.expired', { state: 'open' }, open);
        count('throughline.dead_letters.expired', { state: 'settled' }, expired - open);
        if (open > 0)
          logger?.warn({ open, retainMs }, 'dead letters that nobody dealt with were too old to keep');
      })
      .catch((error) => logger?.warn({ err: error }, 'dead letters could not be aged out'))
      .finally(() => {
        sweeping = undefined;
      });
  };

  const start = async () => {
    for (const by of ['worker', 'pubsub', 'unknown'] satisfies Letter['givenUpBy'][])
      count('throughline.dead_letters.kept', { ...labels, given_up_by: by }, 0);
    for (const state of ['open', 'settled']) count('throughline.dead_letters.expired', { state }, 0);
    for (const action of ['redriven', 'dropped'] as const)
      count(`throughline.dead_letters.${action}`, { [MESSAGING_DESTINATION_NAME]: topic }, 0);
    count('throughline.dead_letters.unkept', { ...labels, [ERROR_TYPE]: 'DATABASE_UNAVAILABLE' }, 0);
    leases = createLeaseKeeper({
      source,
      maxLeaseMs: MAX_LEASE_MS,
      onLeaseLost: ({ id }) =>
        logger?.warn({ messageId: id }, 'the lease of a dead letter reached its maximum'),
    });
    try {
      await source.start({
        onMessage: receive,
        onError: (error) => {
          count('throughline.source.errors', { ...labels, [ERROR_TYPE]: errorType(error) });
          logger?.warn({ err: error, ...labels }, 'pulling or acking failed');
        },
      });
    } catch (error) {
      leases.stop();
      throw error;
    }
    if (isStopping) return source.pause(); // it was stopped meanwhile
    gauge = observeOpenLetters(database, topic);
    timer = setInterval(sweep, SWEEP_EVERY_MS).unref();
    sweep();
  };

  const stop = async () => {
    isStopping = true;
    clearInterval(timer);
    gauge?.stop();
    source.pause();
    await atMost(STORE_GRACE_MS, Promise.all([...underWay, sweeping]));
    for (const message of leases?.held() ?? []) source.nack(message, 0);
    leases?.stop();
    await source.close();
  };

  return {
    start: () => (started ??= start()),
    stop: () => (stopped ??= stop()),
  };
}

/** An observer that throws has no say in what becomes of the letter. */
function tell({ onKept, logger }: DeadLetterKeeperOptions, letter: KeptLetter): void {
  try {
    onKept?.(letter);
  } catch (error) {
    logger?.error({ err: error, ...letter }, 'onKept failed');
  }
}
