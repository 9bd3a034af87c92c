import type { Profile } from '../../shared/profile/pprof.ts';
import { assertAlike } from './compare.ts';
import { functionName, lastValueOf, NAMELESS, wholeOf } from './totals.ts';

/** What a flame graph's page draws; small, because it is a part of the page. */
export interface FlameData {
  readonly title: string;
  readonly unit: string;
  /** Names of functions, then files, as `nodes` counts them. */
  readonly names: readonly string[];
  readonly files: readonly string[];
  readonly trees: readonly FlameTree[];
  readonly isDiff: boolean;
  /** What a whole is worth, by side, before it was scaled. */
  readonly wholes: readonly number[];
}

/** All calls of one kind of span. */
export interface FlameTree {
  readonly span: string;
  readonly root: FlameNode;
}

/** Name, value (of the second profile in a diff), value of the first in a diff else 0, what it calls. */
export type FlameNode = [name: number, value: number, before: number, below: FlameNode[]];

const ROOT = -1;

/**
 * Shape:  for two profiles, both as shares: the second is what is drawn, against the first.
 * Errors: ProfilesDifferError.
 */
export function flameData(title: string, profile: Profile, before?: Profile): FlameData {
  if (before) assertAlike(before, profile);
  const numbers = new Map<string, number>();
  const names: string[] = [];
  const files: string[] = [];
  const trees = new Map<string, { root: Building }>();
  const add = (from: Profile, side: 1 | 2, scale: number) => {
    for (const sample of from.samples) {
      const value = lastValueOf(sample) * scale;
      const span = sample.labels['span'] ?? NAMELESS;
      const tree = trees.get(span) ?? { root: building(ROOT) };
      trees.set(span, tree);
      let node = tree.root;
      node[side] += value;
      for (const frame of sample.stack.toReversed()) {
        const key = functionName(frame);
        let number = numbers.get(key);
        if (number === undefined) {
          number = names.push(frame.name.replace(/^\(anonymous.*\)$/, '(anonymous)')) - 1;
          files.push(frame.file);
          numbers.set(key, number);
        }
        const next = node.below.get(number) ?? building(number);
        node.below.set(number, next);
        node = next;
        node[side] += value;
      }
    }
  };
  const wholes = [wholeOf(profile), ...(before ? [wholeOf(before)] : [])];
  // As shares of 10 million, so that whole numbers do.
  add(profile, 1, before ? SCALE / (wholes[0] || 1) : 1);
  if (before) add(before, 2, SCALE / (wholes[1] || 1));
  return {
    title,
    unit: profile.valueTypes.at(-1)?.unit ?? '',
    names,
    files,
    trees: [...trees].map(([span, { root }]) => ({ span, root: built(root) })),
    isDiff: before !== undefined,
    wholes,
  };
}

const SCALE = 10_000_000;

interface Building {
  readonly name: number;
  1: number;
  2: number;
  readonly below: Map<number, Building>;
}

function building(name: number): Building {
  return { name, 1: 0, 2: 0, below: new Map() };
}

function built(node: Building): FlameNode {
  const below = [...node.below.values()].map(built).sort((a, b) => b[1] - a[1] || b[2] - a[2]);
  return [node.name, Math.round(node[1]), Math.round(node[2]), below];
}
