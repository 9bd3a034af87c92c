/**
 * The root of every error that Throughline throws on purpose.
 *
 * `code` is stable and safe to match on (OpenTelemetry records it as `exception.type`); `retryable` says whether the
 * same call may succeed later. Data goes into fields, the origin into `cause`; nothing matches on message text.
 */
export abstract class ThroughlineError extends Error {
  abstract override readonly name: string;
  abstract readonly code: string;
  readonly retryable: boolean = false;
}
