import { type Command, InvalidArgumentError } from 'commander';
import type { LetterFilter } from '../subscriber/index.ts';

/** Which dead letters a command is about. */
export interface FilterOptions {
  readonly type?: string;
  readonly order?: string;
  readonly job?: string;
  readonly saga?: string;
  readonly topic?: string;
  readonly reasonHas?: string;
  readonly error?: string;
  readonly since?: Date;
  readonly until?: Date;
}

/** The filters that `list`, `redrive` and `drop` have in common: what one lists, the others take. */
export function addFilterOptions(command: Command): Command {
  return command
    .option('--type <type>', 'only jobs of this type, for instance workspace.set-up.v1')
    .option('--order <key>', 'only those of one order')
    .option('--job <id>', 'only those of one job')
    .option('--saga <id>', 'only those of one saga')
    .option('--topic <name>', 'only those of jobs on this topic')
    .option('--reason-has <text>', 'only those whose reason contains this, in upper or lower case')
    .option('--error <type>', 'only those of this error type, for instance PARTNER_UNAVAILABLE')
    .option(
      '--since <time>',
      'died at this time or later: RFC 3339, or an age such as 90m, 24h, 7d',
      readTime,
    )
    .option('--until <time>', 'died before this time', readTime);
}

/** Shape: undefined when no filter was given. */
export function filterOf(options: FilterOptions): LetterFilter | undefined {
  const { type, order, job, saga, topic, reasonHas, error, since, until } = options;
  const filter: LetterFilter = {
    ...(type !== undefined && { jobType: type }),
    ...(order !== undefined && { orderKey: order }),
    ...(job !== undefined && { jobId: job }),
    ...(saga !== undefined && { sagaId: saga }),
    ...(topic !== undefined && { topic }),
    ...(reasonHas !== undefined && { reason: reasonHas }),
    ...(error !== undefined && { errorType: error }),
    ...(since && { since }),
    ...(until && { until }),
  };
  return Object.keys(filter).length > 0 ? filter : undefined;
}

const UNIT_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** `24h` is a day ago. */
export function readTime(text: string): Date {
  const age = /^(\d{1,6})([smhd])$/.exec(text);
  const ms = age
    ? Date.now() - Number(age[1]) * UNIT_MS[age[2] as keyof typeof UNIT_MS]
    : RFC3339.test(text)
      ? Date.parse(text)
      : Number.NaN;
  if (ms >= 0) return new Date(ms);
  throw new InvalidArgumentError(
    'It must be a time like 2026-01-31T12:00:00Z, or an age like 90m, 24h or 7d.',
  );
}

const RFC3339 = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/;

/** A whole number of letters. */
export function readCount(max: number): (text: string) => number {
  return (text) => {
    const count = Number(text);
    if (/^\d+$/.test(text) && count >= 1 && count <= max) return count;
    throw new InvalidArgumentError(`It must be a number from 1 to ${max}.`);
  };
}
