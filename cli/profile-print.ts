import { wholeOf } from '../insight/profile/totals.ts';
import { readComments } from '../shared/profile/comments.ts';
import type { Profile } from '../shared/profile/pprof.ts';

/** An amount of what a profile measures: `12.3 ms`, `4.56 MiB`, `789`. */
export function formatAmount(value: number, unit: string): string {
  const [names, step] = SCALES[unit] ?? [[unit], Number.POSITIVE_INFINITY];
  let amount = value;
  let at = 0;
  for (; Math.abs(amount) >= step && at < names.length - 1; at++) amount /= step;
  const digits =
    at === 0 && Number.isInteger(amount) ? 0 : Math.abs(amount) >= 100 ? 0 : Math.abs(amount) >= 10 ? 1 : 2;
  return `${amount.toFixed(digits)} ${names[at]}`.trimEnd();
}

const SCALES: Readonly<Record<string, readonly [readonly string[], number]>> = {
  nanoseconds: [['ns', 'µs', 'ms', 's'], 1_000],
  bytes: [['B', 'KiB', 'MiB', 'GiB'], 1_024],
  count: [['', 'k', 'M', 'G'], 1_000],
};

export function unitOf({ valueTypes }: Profile): string {
  return valueTypes.at(-1)?.unit ?? '';
}

export function formatShare(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

/** What it is of, in a line. */
export function describeProfile(path: string, profile: Profile): string {
  const { facts } = readComments(profile.comments);
  const type = profile.valueTypes.at(-1)?.type ?? '';
  const of = facts
    ? `, of ${[facts.service, facts.release].filter(Boolean).join(' ')}, Node ${facts.node}`
    : '';
  const when = profile.startedMs > 0 ? `, from ${new Date(profile.startedMs).toISOString()}` : '';
  const length = profile.durationMs > 0 ? ` for ${(profile.durationMs / 1_000).toFixed(1)} s` : '';
  return `${path}: ${formatAmount(wholeOf(profile), unitOf(profile))} (${type})${of}${when}${length}`;
}
