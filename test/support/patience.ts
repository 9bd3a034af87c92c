/**
 * How long a test waits for what must come, in ms. It is no promise of ours: only a test that fails waits so long, and on a
 * busy machine everything may come late. Half of vitest's own limit, so that what was awaited is told before that runs out.
 */
export const PATIENCE_MS = 60_000;
