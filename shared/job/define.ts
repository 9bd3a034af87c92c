import type { z } from 'zod';
import { ThroughlineError } from '../errors.ts';
import { MAX_TIMER_MS } from '../max-timer.ts';
import { DEFAULT_RETRY, MAX_BACKOFF_MS, type RetryPolicy } from './retry.ts';

/** A named, versioned, schema-checked unit of asynchronous work: one object that publisher and worker share. */
export interface Job<Schema extends z.ZodType = z.ZodType> {
  /** For instance `workspace.set-up`. */
  readonly name: string;
  /** From 1; raised when the payload's meaning changes. Each version has its own handler. */
  readonly version: number;
  /** `{name}.v{version}`, the message's `ce-type`. */
  readonly type: string;
  readonly payload: Schema;
  /** Short name of the topic that carries it. */
  readonly topic: string;
  readonly retry: RetryPolicy;
  /** After this an attempt is aborted and retried, in ms. */
  readonly timeoutMs: number;
  readonly orderingKey: OrderingKeyOf<z.output<Schema>> | undefined;
}

/** Chooses what Pub/Sub keeps in order; undefined leaves this one message unordered. */
export type OrderingKeyOf<Payload> = (payload: Payload, orderKey: string | undefined) => string | undefined;

export interface JobDefinition<Schema extends z.ZodType> {
  readonly name: string;
  readonly version: number;
  readonly topic: string;
  /** Checked by the publisher before sending and by the worker before the handler runs. */
  readonly payload: Schema;
  /** Default: 5 attempts, backoff from 1 s to 10 min. */
  readonly retry?: Partial<RetryPolicy>;
  /** Default 60_000. */
  readonly timeoutMs?: number;
  /** Default: no order. `(payload, orderKey) => orderKey` keeps an order's jobs in order. */
  readonly orderingKey?: OrderingKeyOf<z.output<Schema>>;
}

/** A job that cannot work as it is defined. */
export class JobDefinitionError extends ThroughlineError {
  override readonly name = 'JobDefinitionError';
  readonly code = 'JOB_DEFINITION';
}

const NAME = /^[a-z][a-z0-9-]*(\.[a-z0-9-]+)*$/;

/** Errors: JobDefinitionError when name, version, topic, retry or time-out make no sense. */
export function defineJob<Schema extends z.ZodType>(definition: JobDefinition<Schema>): Job<Schema> {
  const retry = { ...DEFAULT_RETRY, ...definition.retry };
  const timeoutMs = definition.timeoutMs ?? 60_000;
  const problems = [
    !NAME.test(definition.name) && 'name: expected lower-case words joined by dots, like "workspace.set-up"',
    !isCount(definition.version) && `version: expected 1, 2, 3 …, got ${definition.version}`,
    !definition.topic && 'topic: expected the short name of a topic',
    !isCount(retry.maxAttempts) && `retry.maxAttempts: expected 1 or more, got ${retry.maxAttempts}`,
    !(retry.minBackoffMs >= 0) && `retry.minBackoffMs: expected 0 or more, got ${retry.minBackoffMs}`,
    !(retry.maxBackoffMs >= retry.minBackoffMs && retry.maxBackoffMs <= MAX_BACKOFF_MS) &&
      `retry.maxBackoffMs: expected minBackoffMs to ${MAX_BACKOFF_MS}, got ${retry.maxBackoffMs}`,
    !(timeoutMs > 0 && timeoutMs <= MAX_TIMER_MS) &&
      `timeoutMs: expected more than 0, at most ${MAX_TIMER_MS}, got ${timeoutMs}`,
  ].filter((problem) => problem !== false);
  if (problems.length > 0) throw new JobDefinitionError(`job "${definition.name}": ${problems.join('; ')}`);
  const { name, version, topic, payload } = definition;
  const { orderingKey } = definition;
  return { name, version, type: jobType(name, version), topic, payload, retry, timeoutMs, orderingKey };
}

export function jobType(name: string, version: number): string {
  return `${name}.v${version}`;
}

function isCount(value: number): boolean {
  return Number.isInteger(value) && value >= 1;
}
