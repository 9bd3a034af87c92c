import { readComments } from '../../shared/profile/comments.ts';
import type { Frame, Profile, ProfileSample } from '../../shared/profile/pprof.ts';
import type { EndedSpans } from '../../shared/profile/span-work.ts';

/** By what the samples of a profile are added up. */
export const DIMENSIONS = ['function', 'span', 'step', 'job'] as const;
export type Dimension = (typeof DIMENSIONS)[number];

export interface Total {
  readonly name: string;
  /** In the function itself; for spans, steps and jobs the same as `total`. */
  readonly self: number;
  /** With all that it calls. */
  readonly total: number;
  /** Spans (attempts of the step, deliveries of the job) that ended meanwhile; undefined where that is not known. */
  readonly ended: number | undefined;
}

/** What has no such label. */
export const NAMELESS = '(none)';

/** Adds the last value of each sample up. Shape: the largest first, by what the function itself took, else by the total. */
export function totalsOf(profile: Profile, by: Dimension): Total[] {
  const sums = new Map<string, { self: number; total: number }>();
  for (const sample of profile.samples) {
    const value = lastValueOf(sample);
    for (const [place, name] of namesOf(sample, by).entries()) {
      const sum = sums.get(name) ?? { self: 0, total: 0 };
      sums.set(name, sum);
      sum.total += value;
      if (place === 0) sum.self += value;
    }
  }
  const counts = by === 'function' ? new Map<string, number>() : endedBy(profile, by);
  return [...sums]
    .map(([name, sum]) => ({ name, ...sum, ended: counts.get(name) }))
    .sort((a, b) => b.self - a.self || b.total - a.total);
}

export function lastValueOf({ values }: ProfileSample): number {
  return values.at(-1) ?? 0;
}

/** Of a whole profile. */
export function wholeOf({ samples }: Profile): number {
  return samples.reduce((sum, sample) => sum + lastValueOf(sample), 0);
}

/** The innermost first, each once: what calls itself is not counted twice. */
function namesOf(sample: ProfileSample, by: Dimension): string[] {
  if (by !== 'function') return [sample.labels[by] ?? NAMELESS];
  return [...new Set(sample.stack.map(functionName))];
}

/**
 * The same for two releases: without lines, which every change above moves. Functions without a name are then one for each
 * file.
 */
export function functionName({ name, file }: Frame): string {
  const plain = name.replace(/^\(anonymous.*\)$/, '(anonymous)');
  return file === '' ? plain : `${plain} ${file}`;
}

/** How many of them ended while the profile was taken. */
export function endedBy(profile: Profile, by: Exclude<Dimension, 'function'>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const spans of readComments(profile.comments).ended) {
    const name = spans[by];
    if (name === undefined || !isOneOf(spans, by)) continue;
    counts.set(name, (counts.get(name) ?? 0) + spans.ended);
  }
  return counts;
}

/** Calls within a step bear its name too; what counts is its attempts. */
function isOneOf({ span = '', step }: EndedSpans, by: Exclude<Dimension, 'function'>): boolean {
  if (by === 'step') return span === `step ${step}` || span === step || span.startsWith('resume ');
  return by === 'span' || span.startsWith('process ');
}
