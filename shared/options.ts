import { ThroughlineError } from './errors.ts';

/** Options that make no sense; the message lists every one of them. */
export class OptionsError extends ThroughlineError {
  override readonly name = 'OptionsError';
  readonly code = 'OPTIONS_INVALID';
  readonly problems: readonly string[];

  constructor(of: string, problems: readonly string[]) {
    super(`${of}: ${problems.join('; ')}`);
    this.problems = problems;
  }
}

/** An inclusive range; numbers that are counts are whole. */
export interface Range {
  readonly min: number;
  readonly max?: number;
  readonly whole?: boolean;
}

/**
 * Checks the numbers among options; one that is not given is not checked.
 *
 * Errors: OptionsError with every number that is out of its range.
 */
export function checkNumbers<Options extends object>(
  of: string,
  options: Options,
  ranges: { readonly [Name in keyof Options]?: Range },
): void {
  const problems = (Object.entries(ranges) as [keyof Options & string, Range][]).flatMap(([name, range]) => {
    const value: unknown = options[name];
    return value === undefined || isWithin(value, range)
      ? []
      : [`${name}: expected ${describe(range)}, got ${String(value)}`];
  });
  if (problems.length > 0) throw new OptionsError(of, problems);
}

function isWithin(value: unknown, { min, max = Number.POSITIVE_INFINITY, whole }: Range): boolean {
  return typeof value === 'number' && value >= min && value <= max && (!whole || Number.isInteger(value));
}

function describe({ min, max, whole }: Range): string {
  const kind = whole ? 'a whole number' : 'a number';
  return max === undefined ? `${kind} of at least ${min}` : `${kind} from ${min} to ${max}`;
}
