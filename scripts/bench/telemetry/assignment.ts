/**
 * No SDK at all; every span recorded and exported; one order in twenty, and whatever fails or is slow; and every span for a
 * receiver that is not there, never answers, or answers nonsense.
 */
export const MODES = ['off', 'full', 'sampled', 'dead', 'slow', 'nonsense'] as const;
export type Mode = (typeof MODES)[number];

/** What a contender's process is told. It then answers every Window that it is sent with a WindowRun, until it is told to end. */
export interface Assignment {
  readonly mode: Mode;
  readonly databaseUrl: string;
  readonly emulatorHost: string;
  readonly otlpEndpoint: string;
  /** Orders under way at once. */
  readonly concurrency: number;
}

export interface Window {
  /** Not measured. */
  readonly warmUpMs: number;
  readonly measureMs: number;
}

export interface WindowRun {
  readonly ordersPerSecond: number;
  /** Of the process, which is order service, relay and worker in one: garbage collection and compiler threads included. */
  readonly cpuMsPerOrder: number;
  /** Run to their end, those before and after the window included. */
  readonly orders: number;
}
