import { hash } from 'node:crypto';

/** Numbers that are the same for the same seed. */
export interface Random {
  /** From 0 to below 1. */
  next(): number;
  /** From `min` to below `max`. */
  between(min: number, max: number): number;
  pick<T>(choices: readonly [T, ...T[]]): T;
}

/** `purpose` gives each user of a seed numbers of its own, so that one of them drawing more changes nothing for the others. */
export function createRandom(seed: number, purpose: string): Random {
  let drawn = 0;
  const next = () =>
    Number.parseInt(hash('sha256', `${seed} ${purpose} ${drawn++}`).slice(0, 8), 16) / 2 ** 32;
  return {
    next,
    between: (min, max) => min + next() * (max - min),
    pick: (choices) => choices[Math.floor(next() * choices.length)] ?? choices[0],
  };
}
