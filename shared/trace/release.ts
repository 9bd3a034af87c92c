import { type Context, context } from '@opentelemetry/api';

type Releaser = (from: Context) => void;
let releaser: Releaser | undefined;

/** Set by telemetry.ts, which holds a piece of work's spans back until the work has ended. */
export function setReleaser(release: Releaser | undefined): void {
  releaser = release;
}

/**
 * Lets the spans that have ended below the active span (or the given one's) go to the exporter now, although the work goes
 * on: to be called just before what makes the work final, because a crash after that would lose them for good.
 */
export function releaseEndedSpans(from: Context = context.active()): void {
  releaser?.(from);
}
