/**
 * What becomes of an order of the load; it follows from its number, so that whoever looks at the spans knows it as well.
 *
 * - `refused`: its third step fails for good, and what came before is undone, by a function and by a job
 * - `job-dies`: the worker gives its job up
 * - `retried`: the job's first attempt fails, the second does not; the order is confirmed
 * - `step-retried`: the same of a step
 * - `slow`: a step takes longer than the load calls slow; the order is confirmed
 * - `job-slow`: the same of the job, in the worker
 * - `plain`: nothing of all that
 */
export type Fate = 'refused' | 'job-dies' | 'retried' | 'step-retried' | 'slow' | 'job-slow' | 'plain';

/** One in so many, by the first that divides the number. Coprime, so that no fate hides another. */
const ONE_IN: readonly (readonly [number, Fate])[] = [
  [97, 'refused'],
  [101, 'job-dies'],
  [103, 'retried'],
  [107, 'step-retried'],
  [109, 'slow'],
  [113, 'job-slow'],
];

export function fateOf(order: number): Fate {
  return ONE_IN.find(([every]) => order % every === every - 1)?.[1] ?? 'plain';
}

export function orderKeyOf(order: number): string {
  return `L-${order}`;
}

export function hasFailed(fate: Fate): boolean {
  return fate === 'refused' || fate === 'job-dies';
}
