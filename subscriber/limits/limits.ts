import type { Logger } from '../../shared/log.ts';
import { checkNumbers, OptionsError } from '../../shared/options.ts';
import type { Database } from '../../shared/storage/database.ts';
import { count, observeGauges } from '../../shared/trace/meters.ts';
import { JOB_NAME, LIMIT_NAME } from '../../shared/trace/semconv.ts';
import type { Claim } from '../claim.ts';
import type { Delivery, Registration } from '../delivery.ts';
import type { Inbox } from '../inbox.ts';
import { LimitedError } from './errors.ts';
import { type ConcurrencyLimit, isRateLimit, type JobLimit, keyOfDelivery } from './limit.ts';
import { createRateGate, type RateGate } from './rate-gate.ts';
import { createSlotGate, LIMIT_CHANNEL, type SlotGate } from './slot-gate.ts';
import type { SlotKey } from './slot-rows.ts';

/**
 * How many jobs run at once, and how many begin in a second, in all workers on one database.
 *
 * L1. A slot belongs to a job whose claim stands (inbox.ts: I2, I3). It ends with that, whatever becomes of its worker.
 * L2. Slots are given out by one transaction at a time for each limit, which counts those that are taken: never are there more
 *     than `maxRunning` at that moment. Where that was lowered, those that run go on, and none begins until there is room.
 * L3. A job runs when it has a slot of each of its limits and its turn in each of its rates; otherwise it has none of them.
 * L4. A job that waits is handed back, as one that a fence pauses: no attempt, no span. When a slot is free it is kept for the
 *     first in line of some worker, which calls it back; whichever worker gets it then has the slot.
 * L5. A slot that nobody tells of, because a worker died or a notification was lost, is found within `pollMs` of its end.
 */
export interface LimitsOptions {
  readonly database: Database;
  /** How often is looked for free slots although no notification came, in ms. Default 1_000. */
  readonly pollMs?: number;
  /** After this a job that waits is looked at again although nobody called it, in ms: 1_000 to 600_000. Default 60_000. */
  readonly retryMs?: number;
  readonly logger?: Logger | undefined;
}

/** Of one worker. */
export interface Limits {
  readonly retryMs: number;
  /** A job's turn, or what it has to wait for. Errors: LimitKeyError, DatabaseUnavailableError. */
  enter(delivery: Delivery, inbox: Inbox): Promise<Entry | LimitedError>;
  /** `resume` brings a delivery back before its time; it is called at most once, and not after `afterMs`. */
  wait(delivery: Delivery, error: LimitedError, resume: () => void): void;
  /** Before it pulls. Errors: OptionsError when jobs disagree on a limit. */
  start(registrations: Iterable<Registration>): Promise<void>;
  /** Brings back whatever waits. May be called twice. */
  stop(): Promise<void>;
}

/** A job that may run. */
export interface Entry {
  /** Errors: none. */
  leave(): Promise<void>;
}

const WAITED = 'throughline.limit.waited';

/** Errors: OptionsError. */
export function createLimits(options: LimitsOptions): Limits {
  checkNumbers('createLimits', options, { pollMs: { min: 10 }, retryMs: { min: 1_000, max: 600_000 } });
  const { database, pollMs = 1_000, retryMs = 60_000, logger } = options;
  let rates = new Map<string, RateGate>();
  let slots: SlotGate | undefined;
  let consumer = '';
  let timer: NodeJS.Timeout | undefined;
  let unlisten: Promise<() => Promise<void>> | undefined;
  let unobserve: (() => void) | undefined;
  let stopped: Promise<void> | undefined;

  const trigger = () => {
    slots?.trigger();
    for (const rate of rates.values()) rate.trigger();
  };

  /** L3. The rates first: they need not ask PostgreSQL, and take back what was not used. */
  const enterRates = async (limits: readonly JobLimit[], jobId: string) => {
    const entered: RateGate[] = [];
    const giveBack = () => {
      for (const rate of entered) rate.giveBack();
    };
    try {
      for (const { name } of limits.filter(isRateLimit)) {
        const rate = rates.get(name);
        if (!rate) continue;
        if (!(await rate.enter(jobId))) {
          giveBack();
          return { refusedBy: name, giveBack };
        }
        entered.push(rate);
      }
    } catch (error) {
      giveBack();
      throw error;
    }
    return { refusedBy: undefined, giveBack };
  };

  return {
    retryMs,
    async enter(delivery, inbox) {
      const { registration, claim, jobId } = delivery;
      const limits = registration?.limits ?? [];
      const wanted = limits.flatMap((limit) => slotOf(limit, delivery));
      const { refusedBy, giveBack } = await enterRates(limits, jobId);
      if (refusedBy !== undefined) return waits(delivery, { limit: refusedBy, key: '' });
      if (!slots || !claim || wanted.length === 0) return { leave: async () => {} };
      const request = requestOf(claim, inbox, wanted);
      consumer = inbox.consumer;
      try {
        const full = await slots.enter(request);
        if (full) {
          giveBack();
          return waits(delivery, full);
        }
      } catch (error) {
        giveBack();
        throw error;
      }
      const { leave } = slots;
      return { leave: () => leave(request) };
    },
    wait({ jobId, message }, { limit, key }, resume) {
      const waiting = { jobId, ackId: message.ackId, resume, untilMs: performance.now() + retryMs };
      const rate = rates.get(limit);
      if (rate) rate.wait(waiting);
      else slots?.wait({ limit, key }, consumer, waiting);
    },
    async start(registrations) {
      if (slots || stopped) return;
      const all = [...registrations];
      const limits = distinct(all);
      const own = createSlotGate(database, limits.filter(isSlotLimit), logger);
      slots = own;
      rates = new Map(
        limits.filter(isRateLimit).map((limit) => [limit.name, createRateGate(database, limit, logger)]),
      );
      for (const { job, limits: ofJob } of all) {
        for (const { name } of ofJob) count(WAITED, { [LIMIT_NAME]: name, [JOB_NAME]: job.name }, 0);
      }
      if (limits.length === 0) return;
      unobserve = observe(
        limits.map(({ name }) => name),
        (name) => rates.get(name)?.waiting ?? own.waiting(name),
      );
      timer = setInterval(trigger, pollMs);
      timer.unref();
      unlisten = database.listen(LIMIT_CHANNEL, trigger);
      unlisten.catch(() => {}); // it is polled as well
    },
    stop() {
      stopped ??= (async () => {
        clearInterval(timer);
        unobserve?.();
        await Promise.all([slots?.stop(), ...[...rates.values()].map((rate) => rate.stop())]);
        await (await unlisten)?.();
      })();
      return stopped;
    },
  };
}

function waits({ registration }: Delivery, { limit, key }: SlotKey): LimitedError {
  count(WAITED, { [LIMIT_NAME]: limit, [JOB_NAME]: registration?.job.name ?? '' });
  return new LimitedError(limit, key);
}

function slotOf(limit: JobLimit, delivery: Delivery): SlotKey[] {
  if (isRateLimit(limit)) return [];
  const key = keyOfDelivery(limit, delivery);
  return key === undefined ? [] : [{ limit: limit.name, key }];
}

function requestOf({ jobId }: Claim, { consumer, worker }: Inbox, wanted: readonly SlotKey[]) {
  return { consumer, jobId, worker, wanted };
}

function isSlotLimit(limit: JobLimit): limit is ConcurrencyLimit<unknown> {
  return !isRateLimit(limit);
}

/** Errors: OptionsError. */
function distinct(registrations: readonly Registration[]): JobLimit[] {
  const byName = new Map<string, JobLimit>();
  for (const { limits } of registrations) {
    for (const limit of limits) {
      const known = byName.get(limit.name);
      if (known && numbersOf(known) !== numbersOf(limit))
        throw new OptionsError('createWorker', [
          `limits: expected the same numbers for each "${limit.name}"`,
        ]);
      byName.set(limit.name, limit);
    }
  }
  return [...byName.values()];
}

function numbersOf(limit: JobLimit): string {
  return isRateLimit(limit) ? `${limit.perSecond} a second, ${limit.burst}` : `${limit.maxRunning}`;
}

/** How many deliveries wait in this worker, by limit. */
function observe(names: readonly string[], waiting: (name: string) => number): () => void {
  const { stop } = observeGauges(['throughline.limit.waiting'], async () =>
    names.map((name) => ({
      gauge: 'throughline.limit.waiting',
      value: waiting(name),
      attributes: { [LIMIT_NAME]: name },
    })),
  );
  return stop;
}
