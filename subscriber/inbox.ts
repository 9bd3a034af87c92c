import { randomUUID } from 'node:crypto';
import type { Cancelled } from '../shared/job/outcome.ts';
import type { Logger } from '../shared/log.ts';
import { checkNumbers } from '../shared/options.ts';
import { type Database, DatabaseUnavailableError, type Transaction } from '../shared/storage/database.ts';
import { GroupCommit } from '../shared/storage/group-commit.ts';
import type { SqlClient } from '../shared/storage/sql-client.ts';
import type { Claim, JobKey, Refusal } from './claim.ts';
import { ClaimLostError } from './errors.ts';
import {
  claimJobs,
  type Finished,
  type FinishOptions,
  finishJobs,
  isDone,
  releaseJob,
  releasePaused,
  renewClaims,
  sweepFinished,
  type UnmarkedSend,
} from './inbox-rows.ts';

/**
 * What has become of each job, in PostgreSQL: the reason why a job that is delivered twice has its effects once.
 *
 * I1. A job is recorded as done after its handler succeeded, never before, and in the transaction of its effects.
 * I2. Two deliveries of a job never run side by side: a delivery runs only while it holds the job's claim.
 * I3. A claim that is not renewed expires; the next delivery then goes on with the same attempt.
 * I4. What was recorded (done, dead, cancelled) stays so: later deliveries are acked without being run.
 */
export interface InboxOptions {
  readonly database: Database;
  /** Who consumes: one name for all workers that share the work, usually the subscription. */
  readonly consumer: string;
  /** After this the job of a worker that died may be run by another one, in ms. Default 30_000. */
  readonly claimMs?: number;
  /** How long it is remembered that a job is done, in ms: longer than any redelivery may come. Default 7 days. */
  readonly retainMs?: number;
  readonly logger?: Logger | undefined;
}

export interface Inbox {
  readonly consumer: string;
  /** By which the claims of this process are known. */
  readonly worker: string;
  /** Errors: DatabaseUnavailableError. */
  claim(job: JobKey): Promise<Claim | Refusal>;
  /**
   * Records a job as done, with the effects that belong to it (I1).
   *
   * Shape:  the job's row in the outbox, when no relay had marked it.
   * Errors: ClaimLostError; FinishBlockedError; what `effects` throws.
   */
  finish(claim: Claim, effects?: (tx: Transaction) => Promise<void>): Promise<UnmarkedSend | undefined>;
  /** Records a job as dead. Shape and errors: as `finish`. */
  bury(
    claim: Claim,
    reason: string,
    effects?: (tx: Transaction) => Promise<void>,
  ): Promise<UnmarkedSend | undefined>;
  /** Records a job as cancelled: by whom, why, and by which fence if it was one. Shape and errors: as `finish`. */
  cancel(claim: Claim, cancelled: Omit<Cancelled, 'kind'>): Promise<UnmarkedSend | undefined>;
  /** Lets go of a job that a fence pauses; the run is no attempt. Errors: none. */
  pause(claim: Claim): Promise<void>;
  /** Lets go of a job that is to be delivered again; `counts` says whether the run was an attempt. Errors: none. */
  release(claim: Claim, counts: boolean): Promise<void>;
  /** Aborted when claims could not be renewed in time, or when `stopping` is. One signal serves many deliveries. */
  signal(stopping: AbortSignal): AbortSignal;
  start(): void;
  stop(): Promise<void>;
}

const SWEEP_EVERY_MS = 60_000;

/** Errors: OptionsError. */
export function createInbox(options: InboxOptions): Inbox {
  checkNumbers('createInbox', options, { claimMs: { min: 1_000 }, retainMs: { min: 1_000 } });
  const { database, consumer, claimMs = 30_000, retainMs = 604_800_000, logger } = options;
  const owner = { consumer, worker: randomUUID(), claimMs };
  const held = new Set<string>();
  /** Held by this worker as it thinks, and not by the table: at one renewal a job may just have been finished. */
  let missing = new Set<string>();
  let renewedMs = performance.now();
  let lost = new AbortController();
  let composed:
    | { readonly of: AbortSignal; readonly lost: AbortSignal; readonly signal: AbortSignal }
    | undefined;
  let timers: NodeJS.Timeout[] = [];
  let sweeping: Promise<void> | undefined;

  const claims = new GroupCommit<JobKey, Claim | Refusal>({
    commit: (jobs) => claimJobs(database, owner, jobs),
  });
  const finishes = new GroupCommit<Claim, Finished | undefined>({
    commit: (group) => finishJobs(database, owner, group),
  });

  /** I2: others may run these jobs by now. */
  const loseClaims = (jobIds: readonly string[]) => {
    lost.abort(new ClaimLostError(jobIds.length === 1 ? (jobIds[0] ?? '') : `${jobIds.length} jobs`));
    lost = new AbortController();
    renewedMs = performance.now();
  };

  const renew = async () => {
    if (held.size === 0) {
      renewedMs = performance.now();
      return;
    }
    const startedMs = performance.now();
    const asked = [...held];
    try {
      const renewed = await renewClaims(database, owner, asked);
      const gone = asked.filter((jobId) => held.has(jobId) && !renewed.has(jobId));
      const isTakenOver = gone.some((jobId) => missing.has(jobId));
      missing = new Set(gone);
      if (!isTakenOver) renewedMs = startedMs;
      else loseClaims(gone);
    } catch (error) {
      logger?.warn({ err: error, claims: held.size }, 'claims could not be renewed');
    }
  };

  const watch = async () => {
    // Not after the renewal alone: that may wait for a server that is away from this worker only.
    if (held.size > 0 && performance.now() - renewedMs > claimMs * 0.9) loseClaims([...held]);
    await renew();
    if (performance.now() - renewedMs > claimMs) loseClaims([...held]);
  };

  const record = async (claim: Claim, client: SqlClient, as: FinishOptions) => {
    const [finished] = await finishJobs(client, owner, [claim], as);
    return unmarkedOf(claim, finished);
  };

  const commit = async (claim: Claim, effects?: (tx: Transaction) => Promise<void>) => {
    if (!effects) return unmarkedOf(claim, await finishes.add(claim));
    return database.transaction(async (tx) => {
      await effects(tx);
      return record(claim, tx, { state: 'done' });
    });
  };

  const letGo = async ({ jobId }: Claim, release: () => Promise<void>) => {
    if (!held.delete(jobId)) return; // it was finished
    await release().catch((error) =>
      logger?.warn({ err: error, jobId }, 'a claim could not be released; it will expire'),
    );
  };

  return {
    consumer,
    worker: owner.worker,
    async claim(job) {
      const result = await claims.add(job);
      if ('lost' in result) held.add(job.jobId);
      return result;
    },
    async finish(claim, effects) {
      let unmarked: UnmarkedSend | undefined;
      try {
        unmarked = await commit(claim, effects);
      } catch (error) {
        const isUnknown = error instanceof DatabaseUnavailableError && error.outcomeUnknown;
        if (!isUnknown || !(await isDone(database, claim))) throw error;
      }
      held.delete(claim.jobId);
      return unmarked;
    },
    async bury(claim, reason, effects) {
      const unmarked = await database.transaction(async (tx) => {
        await effects?.(tx);
        return record(claim, tx, { state: 'dead', reason });
      });
      held.delete(claim.jobId);
      return unmarked;
    },
    async cancel(claim, { by, reason = by, fenceId }) {
      const unmarked = await database.transaction((tx) =>
        record(claim, tx, { state: 'cancelled', reason, cancelledBy: by, fenceId }),
      );
      held.delete(claim.jobId);
      return unmarked;
    },
    pause: (claim) => letGo(claim, () => releasePaused(database, owner, claim)),
    release: (claim, counts) => letGo(claim, () => releaseJob(database, owner, claim, counts)),
    signal(stopping) {
      if (composed?.of !== stopping || composed.lost !== lost.signal) {
        composed = { of: stopping, lost: lost.signal, signal: AbortSignal.any([stopping, lost.signal]) };
      }
      return composed.signal;
    },
    start() {
      if (timers.length > 0) return;
      const sweep = () => {
        sweeping ??= sweepFinished(database, consumer, retainMs)
          .catch((error) => logger?.warn({ err: error }, 'finished jobs could not be aged out'))
          .finally(() => {
            sweeping = undefined;
          });
      };
      timers = [setInterval(() => void watch(), claimMs / 3), setInterval(sweep, SWEEP_EVERY_MS)];
      for (const timer of timers) timer.unref();
    },
    async stop() {
      for (const timer of timers) clearInterval(timer);
      await Promise.all([claims.drained(), finishes.drained(), sweeping]);
    },
  };
}

/** Errors: ClaimLostError. */
function unmarkedOf(claim: Claim, finished: Finished | undefined): UnmarkedSend | undefined {
  if (!finished) throw new ClaimLostError(claim.jobId);
  return finished.unmarked ?? undefined;
}
