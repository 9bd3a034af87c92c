import type { protos } from '@google-cloud/pubsub';
import { invalidArgument } from './status.ts';

type ProtoDuration = protos.google.protobuf.IDuration;

export const MINUTE_MS = 60_000;
export const DAY_MS = 24 * 60 * MINUTE_MS;

export function toMs(duration: ProtoDuration): number {
  return Number(duration.seconds ?? 0) * 1000 + (duration.nanos ?? 0) / 1e6;
}

export function fromMs(durationMs: number): ProtoDuration {
  const seconds = Math.floor(durationMs / 1000);
  const nanos = Math.round((durationMs - seconds * 1000) * 1e6);
  return nanos === 0 ? { seconds } : { seconds, nanos };
}

export interface Bounds {
  readonly field: string;
  readonly minimumMs: number;
  readonly maximumMs: number;
}

/** Undefined stays undefined: the field is not set. */
export function readDuration(
  duration: ProtoDuration | null | undefined,
  { field, minimumMs, maximumMs }: Bounds,
): number | undefined {
  if (!duration) return undefined;
  const valueMs = toMs(duration);
  if (valueMs >= minimumMs && valueMs <= maximumMs) return valueMs;
  throw invalidArgument(
    `The value for ${field} is out of bounds. You passed ${valueMs / 1000}s in the request, ` +
      `but the value must be between ${minimumMs / 1000}s and ${maximumMs / 1000}s.`,
  );
}
