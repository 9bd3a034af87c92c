import type { Load, Names } from './contender.ts';

/** What a child process is told, and what it answers over the IPC channel: one side of one contender. */
export interface Assignment {
  readonly contender: ContenderName;
  readonly role: 'publish' | 'subscribe';
  readonly emulatorHost: string;
  readonly names: Names;
  readonly load: Load;
}

export const CONTENDERS = [
  'raw_default',
  'raw_tuned',
  'client_tracing',
  'throughline',
  'throughline_client',
] as const;
export type ContenderName = (typeof CONTENDERS)[number];

export interface SideResult {
  readonly startedMs: number;
  readonly endedMs: number;
  readonly cpuMs: number;
  readonly peakRssMb: number;
  readonly spans: number;
  /** Subscribers only. */
  readonly latencyP50Ms: number;
  readonly latencyP99Ms: number;
  /** Used heap after a garbage collection, in MB, at ten points of the way. */
  readonly heapMb: readonly number[];
}
