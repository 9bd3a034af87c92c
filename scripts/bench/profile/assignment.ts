import type { Window, WindowRun } from '../telemetry/assignment.ts';

/** No profile; CPU; heap, which takes one of the CPU as well. */
export const MODES = ['off', 'cpu', 'heap'] as const;
export type Mode = (typeof MODES)[number];

/** What the process is told. It then answers every ProfiledWindow with a ProfiledRun, until it is told to end. */
export interface Assignment {
  readonly databaseUrl: string;
  readonly emulatorHost: string;
  /** Orders under way at once. */
  readonly concurrency: number;
}

export interface ProfiledWindow extends Window {
  readonly mode: Mode;
}

export interface ProfiledRun extends WindowRun {
  /** CPU of one span that does nothing and is entered twice, with nothing else going on. */
  readonly cpuUsPerSpan: number;
  /** From the end of the profile to its file: nothing else runs for most of it. 0 when there was none. */
  readonly writtenMs: number;
  readonly fileBytes: number;
  /** Of the CPU in the profile, the share that has a span's name. */
  readonly namedShare: number;
}
