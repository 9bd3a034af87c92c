/** The trace that a stored `traceparent` names. Read here, because without telemetry nothing restores a carrier. */
export function traceIdOf(traceparent: string | null | undefined): string | undefined {
  return /^[0-9a-f]{2}-([0-9a-f]{32})-/.exec(traceparent ?? '')?.[1];
}
