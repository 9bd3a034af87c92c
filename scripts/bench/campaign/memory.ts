import { readFileSync } from 'node:fs';

/**
 * The most memory that a process had so far.
 *
 * Shape: MiB; NaN where there is no /proc. Source: proc(5), VmHWM of /proc/pid/status.
 */
export function peakMib(pid: number): number {
  try {
    const [, kib] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return kib === undefined ? Number.NaN : Number(kib) / 1_024;
  } catch {
    return Number.NaN;
  }
}
