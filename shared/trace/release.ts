import { type Context, context } from '@opentelemetry/api';
import type { KeptBecause } from './sampling.ts';

/**
 * What must be done with ended spans before something becomes final. Set by telemetry.ts; without it nothing is done.
 *
 * Spans of a piece of work are held back until its root has ended (span-hold.ts), and wait for their batch. What makes
 * work final (a checkpoint, an ack, a mark in the outbox) is the moment after which nobody would run it again to tell
 * them: it can be made to wait until they have been exported.
 */
export interface SpanKeeper {
  readonly release: (from: Context, because?: KeptBecause) => void;
  /** Undefined: nothing is waited for. */
  readonly save: (() => Promise<void>) | undefined;
  /** What takes as long is kept, in ms. Undefined: nothing is kept for that reason, as nothing is left out. */
  readonly slowMs?: number | undefined;
}

let keeper: SpanKeeper | undefined;

export function setSpanKeeper(next: SpanKeeper | undefined): void {
  keeper = next;
}

/**
 * Lets the spans that have ended below the active span (or the given one's) go now, although the work goes on.
 * `because`: they are kept whatever the coin said, and so is what the work causes from now on.
 */
export function releaseEndedSpans(from: Context = context.active(), because?: KeptBecause): void {
  keeper?.release(from, because);
}

/** Whether work that took so long is to be kept for that. */
export function isSlow(durationMs: number): boolean {
  return keeper?.slowMs !== undefined && durationMs >= keeper.slowMs;
}

/** Whether spans have to survive the process that made them: it may be killed, and others hang on them. */
export function spansSurvive(): boolean {
  return keeper?.save !== undefined;
}

/**
 * To be awaited before something becomes final.
 *
 * Shape: undefined where spans are exported in the background (the default): nothing is to be waited for.
 * Errors: none; an exporter that is away is not waited for.
 */
export function endedSpansSaved(): Promise<void> | undefined {
  return keeper?.save?.();
}
