import type { z } from 'zod';
import { ThroughlineError } from '../shared/errors.ts';
import type { Job } from '../shared/job/define.ts';
import type { Outcome, Retry } from '../shared/job/outcome.ts';
import { checkNumbers, OptionsError } from '../shared/options.ts';
import type { IncomingMessage, MessageSource } from '../shared/pubsub/message-source.ts';
import { atMost } from '../shared/time-limit.ts';
import { count } from '../shared/trace/meters.ts';
import { errorMessage, errorType } from '../shared/trace/record-error.ts';
import { endedSpansSaved } from '../shared/trace/release.ts';
import { ERROR_TYPE, MESSAGING_SUBSCRIPTION_NAME } from '../shared/trace/semconv.ts';
import type { DeadLetterHook, Delivery, JobDelivery, Registration } from './delivery.ts';
import { createDeliveryCounter } from './delivery-counter.ts';
import { WorkerStoppingError } from './errors.ts';
import { createFencedSeries } from './fence-metrics.ts';
import { KeyedScheduler } from './keyed-scheduler.ts';
import { createLeaseKeeper, type LeaseKeeper } from './lease-keeper.ts';
import { LimitedError } from './limits/errors.ts';
import { checkLimits, type JobLimit } from './limits/limit.ts';
import { createPausedDeliveries } from './paused-deliveries.ts';
import { type PipelineOptions, pipeline } from './pipeline.ts';
import { type Arrival, checkAttempts, toDelivery } from './registered.ts';
import { createWorkerMetrics } from './worker-metrics.ts';

/**
 * Takes deliveries from one subscription to the handlers of their jobs.
 *
 * W1. A message is acked only after its handler said done, it was cancelled, or its dead letter was stored.
 * W2. Messages with one ordering key run one after another, in order, also across retries.
 * W3. Every message that arrived is settled exactly once: acked, or handed back.
 */
export interface WorkerOptions extends PipelineOptions {
  readonly source: MessageSource;
  /** Handlers that run at once. Default 100. */
  readonly maxInFlight?: number;
  /** Longest time that a message is kept leased, waiting included, in ms. Default 3_600_000. */
  readonly maxLeaseMs?: number;
  /** Grace between `stop()` and aborting running handlers, in ms. 0 aborts at once. Default 25_000. */
  readonly drainTimeoutMs?: number;
  /** Called after each delivery was settled. */
  readonly onSettled?: (delivery: Delivery, outcome: Outcome) => void;
}

export interface HandleOptions<Payload> {
  /**
   * Runs when the job is given up; for compensations. If it throws the delivery is retried, so it may run again: publish
   * with job ids that follow from the dead job's id. With an inbox it gets the transaction that records the death.
   */
  readonly onDeadLetter?: DeadLetterHook<Payload>;
  /** How many of these jobs run at once, in all workers, and how many begin in a second. Default: none. */
  readonly limits?: readonly JobLimit<Payload>[];
}

export interface Worker {
  /** Registers a job's handler. Errors: DuplicateHandlerError; OptionsError when its limits make no sense. */
  handle<Schema extends z.ZodType>(
    job: Job<Schema>,
    handler: (delivery: JobDelivery<z.output<Schema>>, signal: AbortSignal) => Promise<Outcome>,
    options?: HandleOptions<z.output<Schema>>,
  ): void;
  /**
   * Begins to pull. May be called twice.
   *
   * Errors: SubscriptionMissingError; OptionsError when a job wants
   * as many attempts as Pub/Sub's own forwarding allows; WorkerStoppingError once it was stopped.
   */
  start(): Promise<void>;
  /** Stops pulling, lets handlers finish within the grace time, hands back the rest. May be called twice. */
  stop(): Promise<StopReport>;
}

export interface StopReport {
  /** Messages that had not been started, or whose handler did not end in time: Pub/Sub redelivers them. */
  readonly handedBack: number;
}

/** Two handlers for one job type. */
export class DuplicateHandlerError extends ThroughlineError {
  override readonly name = 'DuplicateHandlerError';
  readonly code = 'HANDLER_DUPLICATE';

  constructor(jobType: string) {
    super(`${jobType} has a handler already`);
  }
}

/** Running handlers are left alone for so long, unless the options say otherwise. Whoever kills the process waits longer. */
export const DRAIN_TIMEOUT_MS = 25_000;
/** What an aborted handler gets to notice. */
const ABORT_GRACE_MS = 2_000;

const NO_DATA = new Uint8Array();

interface Item extends Arrival {
  localTry: number;
}

export function createWorker(options: WorkerOptions): Worker {
  checkNumbers('createWorker', options, {
    maxInFlight: { min: 1 },
    maxLeaseMs: { min: 1 },
    drainTimeoutMs: { min: 0 },
    continueWithinMs: { min: 0 },
  });
  const { source, maxInFlight = 100, maxLeaseMs = 3_600_000, fences, inbox, limits } = options;
  if (fences && !inbox)
    throw new OptionsError('createWorker', [
      'fences: expected an inbox beside them, which keeps cancelled jobs so',
    ]);
  if (limits && !inbox)
    throw new OptionsError('createWorker', [
      'limits: expected an inbox beside them, on whose claims they count',
    ]);
  const registrations = new Map<string, Registration>();
  const stopping = new AbortController();
  const deliveries = createDeliveryCounter();
  const paused = fences && createPausedDeliveries(fences);
  let maxDeliveryAttempts: number | undefined;
  const own = createWorkerMetrics(options.topic, source.subscription);
  const handler = pipeline(options, own, registrations, () => maxDeliveryAttempts);
  let leases: LeaseKeeper;
  let unobserve = () => {};
  let isStopping = false;
  let interrupted = 0;
  let started: Promise<void> | undefined;
  let stopped: Promise<StopReport> | undefined;

  const handBack = (message: IncomingMessage, afterMs: number) => {
    if (leases.release(message)) source.nack(message, afterMs);
  };

  const settle = ({ message }: Item, outcome: Outcome) => {
    if (outcome.kind === 'retry' && outcome.paused !== 'renewed') handBack(message, outcome.afterMs ?? 0);
    // W1. Also after the lease was lost: Pub/Sub often takes a late ack, and the job is done.
    else if (leases.release(message) || !isStopping) source.ack(message);
  };

  /** W2: Pub/Sub redelivers them after the one that ran or waited before them. */
  const handBackBehind = ({ orderingKey }: IncomingMessage, afterMs: number) => {
    if (!orderingKey) return;
    for (const { message } of scheduler.takeBehind(orderingKey)) handBack(message, afterMs);
  };

  /** A delivery that waits comes back when its fence is lifted, or it is its turn; until then its worker keeps no payload of it. */
  const keepPaused = (item: Item, delivery: Delivery, outcome: Outcome, isHere: boolean): Outcome => {
    if (outcome.kind !== 'retry' || outcome.paused !== 'kept') return outcome;
    const message = { ...item.message, data: NO_DATA };
    const resume = isHere ? () => scheduler.hurry(item) : () => source.nack(message, 0);
    if (isStopping) return { ...outcome, afterMs: 0 };
    if (!(outcome.error instanceof LimitedError))
      return paused ? { ...outcome, afterMs: paused.add(delivery, outcome.afterMs ?? 0, resume) } : outcome;
    limits?.wait(delivery, outcome.error, resume);
    return outcome;
  };

  const runItem = async (item: Item): Promise<number | undefined> => {
    if (!leases.holds(item.message)) {
      handBackBehind(item.message, 0);
      return undefined; // it waited too long, and Pub/Sub redelivers it
    }
    const delivery = toDelivery(item, source.subscription, registrations);
    const reached = await handler(delivery, stopping.signal).catch((error) => failedPipeline(options, error));
    const saving = endedSpansSaved();
    if (saving) await saving; // before the message is settled, after which nobody would run the job again to tell them
    const isHere = waitsHere(item.message, reached, maxLeaseMs) && !isStopping && leases.holds(item.message);
    const outcome = keepPaused(item, delivery, reached, isHere);
    if (isHere && outcome.kind === 'retry') {
      if (!outcome.paused) item.localTry += 1;
      return outcome.afterMs ?? 0; // W2: the key stays taken
    }
    settle(item, outcome);
    if (outcome.kind === 'retry') {
      if (outcome.handedBack && isStopping && outcome.paused !== 'renewed') interrupted += 1;
      if (item.localTry > 1) deliveries.tried(item.message, delivery.attempt);
      handBackBehind(item.message, outcome.afterMs ?? 0);
    }
    report(options, delivery, outcome);
    return undefined;
  };

  const scheduler = new KeyedScheduler<Item>({
    maxRunning: maxInFlight,
    run: runItem,
    keyOf: ({ message }) => message.orderingKey,
  });

  const receive = (message: IncomingMessage) => {
    if (isStopping) return source.nack(message, 0);
    leases.hold(message);
    scheduler.add({ message, deliveryNumber: deliveries.numberOf(message), localTry: 1 });
  };

  const stop = async (): Promise<StopReport> => {
    isStopping = true;
    source.pause();
    paused?.stop();
    const unlimited = limits?.stop();
    const unstarted = scheduler.takeWaiting();
    for (const { message } of unstarted) handBack(message, 0);
    await atMost(options.drainTimeoutMs ?? DRAIN_TIMEOUT_MS, scheduler.idle());
    stopping.abort(new WorkerStoppingError());
    await atMost(ABORT_GRACE_MS, scheduler.idle());
    const abandoned = leases?.held() ?? [];
    for (const message of abandoned) handBack(message, 0);
    leases?.stop();
    unobserve();
    await source.close();
    await Promise.all([inbox?.stop(), fences?.stop(), unlimited]);
    return { handedBack: unstarted.length + interrupted + abandoned.length };
  };

  const start = async () => {
    if (isStopping) throw new WorkerStoppingError();
    inbox?.start();
    own.createSeries(registrations.values());
    if (fences) createFencedSeries(registrations.values());
    leases = createLeaseKeeper({
      source,
      maxLeaseMs,
      onLeaseLost: (message) => {
        options.logger?.warn(
          { messageId: message.id },
          'the lease reached its maximum; Pub/Sub will redeliver',
        );
      },
    });
    try {
      if (limits) await limits.start(registrations.values());
      if (fences) await fences.start();
      await source.start({
        onSubscription: (facts) => {
          checkAttempts(registrations, facts);
          maxDeliveryAttempts = facts.maxDeliveryAttempts;
        },
        onMessage: receive,
        onError: (error) => sourceFailed(options, error),
      });
    } catch (error) {
      leases.stop();
      throw error;
    }
    if (isStopping)
      source.pause(); // it was stopped meanwhile
    else unobserve = own.observe(() => scheduler.runningCount, maxInFlight);
  };

  return {
    handle(job, run, { onDeadLetter, limits: limitsOfJob = [] } = {}) {
      if (registrations.has(job.type)) throw new DuplicateHandlerError(job.type);
      checkLimits(job.type, limitsOfJob);
      if (limitsOfJob.length > 0 && !limits)
        throw new OptionsError('createWorker', [`limits: expected, because ${job.type} has some`]);
      // The pipeline hands each handler the payload that its own job's schema has checked.
      registrations.set(job.type, { job, run, onDeadLetter, limits: limitsOfJob } as unknown as Registration);
    },
    start() {
      if (isStopping) return Promise.reject(new WorkerStoppingError());
      started ??= start();
      return started;
    },
    stop() {
      stopped ??= stop();
      return stopped;
    },
  };
}

/** W2: an ordered job waits here for its next try, as long as it may be leased. Otherwise it is settled now. */
function waitsHere(message: IncomingMessage, outcome: Outcome, maxLeaseMs: number): boolean {
  if (!message.orderingKey || outcome.kind !== 'retry') return false;
  if (outcome.handedBack && !outcome.paused) return false;
  return Date.now() + (outcome.afterMs ?? 0) < message.receivedAtMs + maxLeaseMs;
}

/** A layer of our own or of the user's failed outside classification: the message is kept, and somebody is told. */
function failedPipeline({ logger }: WorkerOptions, error: unknown): Retry {
  logger?.error({ err: error }, 'a middleware failed; the job will be retried');
  return { kind: 'retry', afterMs: 10_000, reason: errorMessage(error), error };
}

/** An observer that throws has no say in what becomes of the message. */
function report({ onSettled, logger }: WorkerOptions, delivery: Delivery, outcome: Outcome): void {
  try {
    onSettled?.(delivery, outcome);
  } catch (error) {
    logger?.error({ err: error, jobId: delivery.jobId }, 'onSettled failed');
  }
}

function sourceFailed({ logger, source }: WorkerOptions, error: Error): void {
  count('throughline.source.errors', {
    [MESSAGING_SUBSCRIPTION_NAME]: source.subscription,
    [ERROR_TYPE]: errorType(error),
  });
  logger?.warn({ err: error, subscription: source.subscription }, 'pulling or acking failed');
}
