/** What a step returns to wait for a signal instead of a result. */
export interface Suspension<Data = unknown> {
  readonly suspend: string;
  readonly timeoutMs: number;
  readonly data: Data;
}

export interface SuspendOptions<Data> {
  /** After this the step fails, in ms; it counts as one that may have happened. */
  readonly timeoutMs: number;
  /** JSON; shown to readers of the saga (where to send the customer) and given to `resume`. */
  readonly data: Data;
}

const SUSPENSIONS = new WeakSet<object>();

/** Suspends the step until the signal `name` comes: `return suspend('3ds', { timeoutMs: 900_000, data: { url } })`. */
export function suspend<Data>(name: string, options: SuspendOptions<Data>): Suspension<Data> {
  const suspension = { suspend: name, timeoutMs: options.timeoutMs, data: options.data };
  SUSPENSIONS.add(suspension);
  return suspension;
}

/** Whether a step returned `suspend(…)`; a result that merely looks like it is a result. */
export function isSuspension(value: unknown): value is Suspension {
  return typeof value === 'object' && value !== null && SUSPENSIONS.has(value);
}
