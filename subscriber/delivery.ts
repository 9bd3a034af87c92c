import type { Job } from '../shared/job/define.ts';
import type { Outcome } from '../shared/job/outcome.ts';
import type { IncomingMessage } from '../shared/pubsub/message-source.ts';
import type { Transaction } from '../shared/storage/database.ts';
import type { Claim } from './claim.ts';
import type { JobLimit } from './limits/limit.ts';

/** One arrival of a message at a worker, as the middlewares see it. */
export interface Delivery {
  readonly message: IncomingMessage;
  readonly subscription: string;
  /** `ce-id`; Pub/Sub's message id when the message bears none. */
  readonly jobId: string;
  /** `ce-subject`. */
  readonly orderKey: string | undefined;
  /** `ce-type`, whether known here or not. */
  readonly jobType: string | undefined;
  /** Undefined when no handler is registered for the type. */
  readonly registration: Registration | undefined;
  /** Deliveries of the job so far, from 1. */
  readonly attempt: number;
  /** Tries of this very delivery in this process, from 1: an ordered job is retried while its lease is held. */
  readonly localTry: number;
  /** Its right to run, from the inbox; undefined when the worker has none. `attempt` is then the claim's. */
  readonly claim?: Claim;
  /** See `JobDelivery`; undefined when the worker has no fences. */
  readonly checkFence?: () => void;
}

/** What a handler gets. */
export interface JobDelivery<Payload> {
  readonly payload: Payload;
  readonly jobId: string;
  readonly orderKey: string | undefined;
  readonly attempt: number;
  readonly message: IncomingMessage;
  /**
   * To be called right before each effect outside the database: throws when a fence stops the job by now, or when that is
   * not known. Let it pass: the worker cancels the job, or keeps it until the fence is lifted, and counts no attempt.
   *
   * Errors: FencedError, FencesUnknownError.
   */
  checkFence(): void;
}

/** The `checkFence` of a worker that has no fences. */
export function unfenced(): void {}

export type Handler = (delivery: Delivery, signal: AbortSignal) => Promise<Outcome>;
export type Middleware = (next: Handler) => Handler;

/** First listed is outermost: it sees the delivery first and the outcome last. */
export function compose(...layers: readonly Middleware[]): Middleware {
  return (handler) => layers.reduceRight((next, layer) => layer(next), handler);
}

/** Runs when a job is given up. `tx`, with an inbox: its effects commit with the record that the job is dead. */
export type DeadLetterHook<Payload> = (
  delivery: JobDelivery<Payload>,
  reason: string,
  tx: Transaction | undefined,
) => Promise<void>;

/** A job, its handler, and what to do when the job has failed for good. */
export interface Registration {
  readonly job: Job;
  readonly run: (delivery: JobDelivery<unknown>, signal: AbortSignal) => Promise<Outcome>;
  readonly onDeadLetter: DeadLetterHook<unknown> | undefined;
  readonly limits: readonly JobLimit[];
}
