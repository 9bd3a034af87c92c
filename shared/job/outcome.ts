import type { Transaction } from '../storage/database.ts';

/** What became of an attempt; a handler returns one, and a thrown error is classified into one. */
export type Outcome = Done | Retry | DeadLetter | Cancelled;

export interface Done {
  readonly kind: 'done';
  /** Commits together with the record that the job is done; needs a worker with an inbox. */
  readonly effects?: (tx: Transaction) => Promise<void>;
}

export interface Retry {
  readonly kind: 'retry';
  /** Undefined: the job's own backoff. */
  readonly afterMs?: number;
  readonly reason: string;
  /** What was thrown, when the outcome stands for an error. */
  readonly error?: unknown;
  /** True when the attempt was cut short by us (shutdown), so that it is no failure of the job. */
  readonly handedBack?: boolean;
  /**
   * Set when a fence pauses the job: `kept` until the fence is lifted, when the worker brings the delivery back; or
   * `renewed`, when a fresh copy of the message stands for it, and this one can be acked.
   */
  readonly paused?: 'kept' | 'renewed';
}

export interface DeadLetter {
  readonly kind: 'deadLetter';
  readonly reason: string;
  readonly error?: unknown;
}

export interface Cancelled {
  readonly kind: 'cancelled';
  readonly by: string;
  readonly reason?: string;
  /** The fence that did it. */
  readonly fenceId?: string;
}

const DONE: Done = { kind: 'done' };

/**
 * The job is done. `effects` are what it did to the database, further jobs included (`outbox.enqueue(tx, …)`): they commit
 * together with the record that it is done, so they happen once however often the job is delivered.
 */
export function done(effects?: (tx: Transaction) => Promise<void>): Done {
  return effects ? { kind: 'done', effects } : DONE;
}

/** Try again, after `afterMs` or the job's backoff. Counts as an attempt. */
export function retry(reason: string, options: { readonly afterMs?: number } = {}): Retry {
  return { kind: 'retry', reason, ...options };
}

/** Give up for good: the message goes to the dead-letter topic with this reason. */
export function deadLetter(reason: string): DeadLetter {
  return { kind: 'deadLetter', reason };
}

export function cancelled(by: string): Cancelled {
  return { kind: 'cancelled', by };
}

/** Whether a handler kept its contract; one written in plain JavaScript has no compiler to tell. */
export function isOutcome(value: unknown): value is Outcome {
  if (typeof value !== 'object' || value === null) return false;
  const { kind, reason, by } = value as { kind?: unknown; reason?: unknown; by?: unknown };
  if (kind === 'done') return true;
  if (kind === 'cancelled') return typeof by === 'string';
  return (kind === 'retry' || kind === 'deadLetter') && typeof reason === 'string';
}
