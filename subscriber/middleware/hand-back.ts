import type { Retry } from '../../shared/job/outcome.ts';
import { DatabaseUnavailableError } from '../../shared/storage/database.ts';
import { FinishBlockedError } from '../claim.ts';
import { ClaimLostError } from '../errors.ts';

/** A delivery that comes again, and whose run is no attempt. */
export function handBack(reason: string, afterMs: number, error?: unknown): Retry {
  return { kind: 'retry', reason, afterMs, handedBack: true, ...(error !== undefined && { error }) };
}

/**
 * Whether a job could not be recorded for no fault of its own: another delivery has it by now, its rows were locked, or the
 * database was away before anything was begun. (A connection that is lost while its effects are written may be their
 * doing, and counts.)
 */
export function isNoFailure(error: unknown): boolean {
  if (error instanceof ClaimLostError || error instanceof FinishBlockedError) return true;
  return error instanceof DatabaseUnavailableError && !error.outcomeUnknown;
}

/** How soon a job comes again that could not be recorded, in ms. */
export const UNRECORDED_RETRY_MS = 1_000;
