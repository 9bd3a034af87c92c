import { ThroughlineError } from '../../shared/errors.ts';
import type { Profile } from '../../shared/profile/pprof.ts';
import { type Dimension, endedBy, type Total, totalsOf, wholeOf } from './totals.ts';

/** Two profiles that measure different things. */
export class ProfilesDifferError extends ThroughlineError {
  override readonly name = 'ProfilesDifferError';
  readonly code = 'PROFILES_DIFFER';
}

export interface Change {
  readonly name: string;
  readonly before: Side;
  readonly after: Side;
  /** Of the shares, -1 to 1. */
  readonly shareChange: number;
  /** How much more each one takes now: 1.5 is half as much again. Undefined where a side has no number. */
  readonly perUnitRatio: number | undefined;
}

interface Side {
  readonly total: number;
  /** Of all that the profile has, 0 to 1. */
  readonly share: number;
  /** By which `perUnit` is divided. */
  readonly units: number | undefined;
  /** For each span that ended (attempt, delivery), or each one of `per`. */
  readonly perUnit: number | undefined;
}

export interface CompareOptions {
  readonly by: Dimension;
  /** A span's name: everything is divided by how many of these ended, as by the number of orders. */
  readonly per?: string | undefined;
}

/**
 * Compares two profiles that were taken under different load, or for different times: by shares, and by what each span took.
 *
 * Shape:  the largest changes of share first, in either direction. Functions count with what they themselves took.
 * Errors: ProfilesDifferError when they measure different things, or when no span of that name ended.
 */
export function compareProfiles(before: Profile, after: Profile, { by, per }: CompareOptions): Change[] {
  assertAlike(before, after);
  const sideOf = (profile: Profile) => {
    const whole = wholeOf(profile);
    const units = per === undefined ? undefined : unitsOf(profile, per);
    const totals = new Map(totalsOf(profile, by).map((total) => [total.name, total]));
    const side = (name: string): Side => {
      const total = totals.get(name);
      const value = total?.self ?? 0;
      const divisor = units ?? endedOf(total, profile, by, name);
      return {
        total: value,
        share: whole === 0 ? 0 : value / whole,
        units: divisor,
        perUnit: divisor ? value / divisor : undefined,
      };
    };
    return { names: [...totals.keys()], side };
  };
  const [a, b] = [sideOf(before), sideOf(after)];
  return [...new Set([...a.names, ...b.names])]
    .map((name) => change(name, a.side(name), b.side(name)))
    .sort((x, y) => Math.abs(y.shareChange) - Math.abs(x.shareChange));
}

function change(name: string, before: Side, after: Side): Change {
  const perUnitRatio =
    before.perUnit && after.perUnit !== undefined ? after.perUnit / before.perUnit : undefined;
  return { name, before, after, shareChange: after.share - before.share, perUnitRatio };
}

/** Spans may have ended of which no sample tells. */
function endedOf(total: Total | undefined, profile: Profile, by: Dimension, name: string) {
  if (total || by === 'function') return total?.ended;
  return endedBy(profile, by).get(name);
}

function unitsOf(profile: Profile, per: string): number {
  const units = endedBy(profile, 'span').get(per);
  if (units) return units;
  const known = [...endedBy(profile, 'span').keys()].sort();
  throw new ProfilesDifferError(
    known.length === 0
      ? `no span "${per}" ended in one of the profiles: it does not tell of any`
      : `no span "${per}" ended in one of the profiles; there are ${known.slice(0, 20).join(', ')}`,
  );
}

export function assertAlike(before: Profile, after: Profile): void {
  const [a, b] = [measured(before), measured(after)];
  if (a !== b) throw new ProfilesDifferError(`the first profile measures ${a}, the second ${b}`);
}

function measured({ valueTypes }: Profile): string {
  const last = valueTypes.at(-1);
  return `${last?.type} in ${last?.unit}`;
}
