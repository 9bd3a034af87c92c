import type { BenchOptions } from '../options.ts';
import type { Window } from './assignment.ts';

/** Of a process that takes orders in windows. */
export const TIMEOUT_MS = 3_600_000;
/** Orders under way at once. */
export const CONCURRENCY = 200;

export interface Size {
  readonly rounds: number;
  /** Before the first round, so that code is compiled. */
  readonly compile: Window;
  readonly window: Window;
}

const FULL: Size = {
  rounds: 12,
  compile: { warmUpMs: 0, measureMs: 8_000 },
  window: { warmUpMs: 500, measureMs: 4_000 },
};
const QUICK: Size = {
  rounds: 1,
  compile: { warmUpMs: 0, measureMs: 1_000 },
  window: { warmUpMs: 300, measureMs: 1_500 },
};

export function sizeOf({ quick, rounds }: BenchOptions): Size {
  const size = quick ? QUICK : FULL;
  return { ...size, rounds: rounds ?? size.rounds };
}
