import { ThroughlineError } from '../../shared/errors.ts';
import { METRICS } from '../../shared/trace/metric-catalogue.ts';
import { waitPercentile } from './queueing.ts';

/** What the workers of one subscription did over a window, all of them together unless said. Undefined: nobody knows. */
export interface WorkerFigures {
  readonly subscription: string;
  readonly workers: number;
  /** Handlers that may run at once, a worker. */
  readonly slots: number;
  /** Messages sent to the subscription's topic. */
  readonly sentPerSecond: number | undefined;
  /** Deliveries that were handled, those that are tried again included. */
  readonly handledPerSecond: number;
  /** Deliveries after which nothing is left to be done. */
  readonly settledPerSecond: number;
  /** Handling one delivery, on average. */
  readonly processSeconds: number | undefined;
  /** Handling one delivery, at the percentile that is asked for. */
  readonly processSecondsAtShare: number | undefined;
  /** CPU time of the workers' whole processes, in s each second, and all deliveries that these processes handled. */
  readonly cpuSecondsPerSecond: number | undefined;
  readonly handledByProcessesPerSecond: number | undefined;
  /** Of the largest process, at its peak. */
  readonly residentBytes: number | undefined;
  /** Handlers that ran at once in one worker, at their peak. */
  readonly runningPeak: number | undefined;
}

export interface CapacityTarget {
  /** Messages a second to be planned for. Default: what arrives now. */
  readonly perSecond?: number | undefined;
  /** From arrival at the subscription to the end of handling, in s. */
  readonly latencySeconds: number;
  /** Of all deliveries that are to be within it, 0 to 1. */
  readonly share: number;
}

export interface CapacityReport {
  readonly subscription: string;
  readonly workers: number;
  readonly slots: number;
  readonly arrivingPerSecond: number;
  readonly handledPerSecondPerWorker: number;
  /** Deliveries that a message takes, retries included; 1 without any. */
  readonly deliveriesPerMessage: number;
  readonly cpuSecondsPerDelivery: number | undefined;
  readonly bytesPerDelivery: number | undefined;
  readonly processSeconds: number | undefined;
  /** Messages that the queue grows by a second; below 0 it shrinks. */
  readonly growthPerSecond: number;
  /** What one worker can handle at most, by what runs out first. Undefined: it has handled nothing yet. */
  readonly limit: WorkerLimit | undefined;
  /** Of what all workers can handle, the share that arrives. */
  readonly utilisation: number | undefined;
  readonly plan: Plan | undefined;
}

export interface WorkerLimit {
  readonly deliveriesPerSecond: number;
  readonly by: 'cpu' | 'slots';
}

/**
 * `unreachable`: handling alone takes longer than is allowed, however many there are. `unmeasured`: it takes longer than
 * its histogram can tell.
 */
export type Plan =
  | {
      readonly kind: 'workers';
      readonly workers: number;
      readonly latencySeconds: number;
      readonly utilisation: number;
    }
  | { readonly kind: 'unreachable'; readonly processSeconds: number }
  | { readonly kind: 'unmeasured'; readonly processSeconds: number };

export class CapacityTargetError extends ThroughlineError {
  override readonly name = 'CapacityTargetError';
  readonly code = 'CAPACITY_TARGET_INVALID';
}

/** A percentile beyond the last bucket is told as its bound, in s. */
const LONGEST_MEASURED = METRICS['messaging.process.duration'].buckets.at(-1) ?? 0;
/** More would be no plan. */
const MOST_WORKERS = 100_000;

/**
 * How much the workers of a subscription can do, and how many it takes.
 *
 * C1. A worker is one event loop, hence at most one core's CPU time each second: 1 ÷ CPU a delivery. It has so many slots:
 *     slots ÷ handling time. The smaller of the two is its limit.
 * C2. Latency is the wait for CPU, plus the wait for a slot, plus handling, each at the wanted percentile: an upper bound of
 *     that percentile of their sum. Waits are those of M/M/c: arrivals at random. Handling time is taken as measured.
 * C3. Messages with one ordering key wait for each other: what one key's messages wait is not in it.
 *
 * Errors: CapacityTargetError.
 */
export function capacityOf(figures: WorkerFigures, target: CapacityTarget): CapacityReport {
  check(target);
  const { workers, slots, handledPerSecond, settledPerSecond, processSeconds } = figures;
  const sentPerSecond = figures.sentPerSecond ?? settledPerSecond;
  const deliveriesPerMessage = settledPerSecond > 0 ? Math.max(1, handledPerSecond / settledPerSecond) : 1;
  const arrivingPerSecond = target.perSecond ?? sentPerSecond;
  const cpuSecondsPerDelivery = ratio(figures.cpuSecondsPerSecond, figures.handledByProcessesPerSecond);
  const limit = limitOf(slots, cpuSecondsPerDelivery, processSeconds);
  const deliveriesPerSecond = arrivingPerSecond * deliveriesPerMessage;
  return {
    subscription: figures.subscription,
    workers,
    slots,
    arrivingPerSecond,
    handledPerSecondPerWorker: workers > 0 ? handledPerSecond / workers : 0,
    deliveriesPerMessage,
    cpuSecondsPerDelivery,
    bytesPerDelivery: ratio(figures.residentBytes, figures.runningPeak),
    processSeconds,
    growthPerSecond: sentPerSecond - settledPerSecond,
    limit,
    utilisation: limit && deliveriesPerSecond / (workers * limit.deliveriesPerSecond),
    plan: limit && planOf(figures, target, { limit, deliveriesPerSecond, cpuSecondsPerDelivery }),
  };
}

/** C1. */
function limitOf(
  slots: number,
  cpuSeconds: number | undefined,
  processSeconds: number | undefined,
): WorkerLimit | undefined {
  const byCpu = cpuSeconds === undefined ? Number.POSITIVE_INFINITY : 1 / cpuSeconds;
  const bySlots = processSeconds ? slots / processSeconds : Number.POSITIVE_INFINITY;
  if (!Number.isFinite(Math.min(byCpu, bySlots))) return undefined;
  return byCpu <= bySlots
    ? { deliveriesPerSecond: byCpu, by: 'cpu' }
    : { deliveriesPerSecond: bySlots, by: 'slots' };
}

interface Load {
  readonly limit: WorkerLimit;
  readonly deliveriesPerSecond: number;
  readonly cpuSecondsPerDelivery: number | undefined;
}

/** C2. */
function planOf(figures: WorkerFigures, { latencySeconds, share }: CapacityTarget, load: Load): Plan {
  const { slots, processSeconds = 0, processSecondsAtShare = processSeconds } = figures;
  if (processSecondsAtShare >= latencySeconds)
    return { kind: 'unreachable', processSeconds: processSecondsAtShare };
  if (processSecondsAtShare >= LONGEST_MEASURED)
    return { kind: 'unmeasured', processSeconds: processSecondsAtShare };
  const arrivalsPerSecond = load.deliveriesPerSecond;
  const latencyWith = (workers: number) =>
    waitPercentile(
      { servers: workers, arrivalsPerSecond, serviceSeconds: load.cpuSecondsPerDelivery ?? 0 },
      share,
    ) +
    waitPercentile({ servers: workers * slots, arrivalsPerSecond, serviceSeconds: processSeconds }, share) +
    processSecondsAtShare;
  const fewest = Math.max(1, Math.ceil(arrivalsPerSecond / load.limit.deliveriesPerSecond));
  const workers = firstFrom(fewest, (number) => latencyWith(number) <= latencySeconds);
  return {
    kind: 'workers',
    workers,
    latencySeconds: latencyWith(workers),
    utilisation: arrivalsPerSecond / (workers * load.limit.deliveriesPerSecond),
  };
}

/** The smallest number for which this is so, where it is so for all that are larger. Errors: CapacityTargetError. */
function firstFrom(fewest: number, isEnough: (number: number) => boolean): number {
  let [tooFew, enough] = [fewest - 1, fewest];
  while (enough <= MOST_WORKERS && !isEnough(enough)) [tooFew, enough] = [enough, enough * 2];
  if (enough > MOST_WORKERS)
    throw new CapacityTargetError(`so many messages would take more than ${MOST_WORKERS} workers`);
  while (enough - tooFew > 1) {
    const middle = Math.floor((tooFew + enough) / 2);
    if (isEnough(middle)) enough = middle;
    else tooFew = middle;
  }
  return enough;
}

function ratio(amount: number | undefined, per: number | undefined): number | undefined {
  return amount !== undefined && per !== undefined && per > 0 ? amount / per : undefined;
}

function check({ perSecond, latencySeconds, share }: CapacityTarget): void {
  if (perSecond !== undefined && !(perSecond >= 0 && Number.isFinite(perSecond)))
    throw new CapacityTargetError('rate: expected a number of messages a second from 0 on');
  if (!(latencySeconds > 0 && Number.isFinite(latencySeconds)))
    throw new CapacityTargetError('latency: expected seconds above 0');
  if (!(share > 0 && share < 1))
    throw new CapacityTargetError('share: expected a number between 0 and 1, 0.95 for instance');
}
