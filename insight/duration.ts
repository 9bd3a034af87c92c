/**
 * A duration for people, in at most three digits: `640 µs`, `4.2 ms`, `182 ms`, `1.24 s`, `3 min 5 s`, `2 h 10 min`.
 *
 * Shape: milliseconds → text. A negative duration (two clocks) keeps its sign.
 */
export function humaniseMs(durationMs: number): string {
  if (durationMs < 0) return `-${humaniseMs(-durationMs)}`;
  const micros = Math.round(durationMs * 1_000);
  if (micros < 1_000) return `${micros} µs`;
  const tenths = Math.round(durationMs * 10);
  if (tenths < 100) return `${(tenths / 10).toFixed(1)} ms`;
  const millis = Math.round(durationMs);
  if (millis < 1_000) return `${millis} ms`;
  const hundredths = Math.round(durationMs / 10);
  if (hundredths < 1_000) return `${(hundredths / 100).toFixed(2)} s`;
  const tenthsOfSecond = Math.round(durationMs / 100);
  if (tenthsOfSecond < 600) return `${(tenthsOfSecond / 10).toFixed(1)} s`;
  const seconds = Math.round(durationMs / 1_000);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  const minutes = Math.round(durationMs / 60_000);
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
