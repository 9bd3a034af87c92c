import { Cron } from 'croner';

/** When something is to happen again and again. */
export interface CronRule {
  /** Five fields, or six with the seconds first; `@daily` and its kind. */
  readonly cron: string;
  /** An IANA name, like `Europe/Berlin`. */
  readonly timeZone: string;
}

/**
 * The first tick after a moment; undefined when none will ever come.
 *
 * Where the clocks are put forward, a time of day that is left out comes at the end of the gap; one that a pattern meets
 * again and again (`*`, a list, a range) is left out. Where they are put back, a time of day comes once, at its first
 * occurrence; what a pattern meets again and again comes both times.
 *
 * Errors: TypeError and RangeError of the library when the rule makes no sense: see `cronProblems`.
 */
export function nextTick(rule: CronRule, after: Date): Date | undefined {
  return parsed(rule).nextRun(after) ?? undefined;
}

/** Sentences that name the field; none: the rule makes sense, and a tick will come. */
export function cronProblems({ cron, timeZone }: CronRule): string[] {
  const problems: string[] = [];
  if (!isTimeZone(timeZone))
    problems.push(`timeZone: expected an IANA name like "Europe/Berlin", got "${timeZone}"`);
  try {
    if (!isPattern(cron)) problems.push(`cron: expected five or six fields, got "${cron}"`);
    else if (!nextTick({ cron, timeZone: 'UTC' }, new Date()))
      problems.push(`cron: expected a time that comes, and "${cron}" never does`);
  } catch (error) {
    problems.push(`cron: ${(error as Error).message.replace(/^CronPattern: /, '')}`);
  }
  return problems;
}

/** The library also reads a date, as a job that runs once. */
function isPattern(cron: string): boolean {
  return /^@[a-z]+$/i.test(cron) || cron.trim().split(/\s+/).length >= 5;
}

function isTimeZone(timeZone: string): boolean {
  try {
    return timeZone !== '' && new Intl.DateTimeFormat('en', { timeZone }) !== undefined;
  } catch {
    return false;
  }
}

function parsed({ cron, timeZone }: CronRule): Cron {
  return new Cron(cron, { timezone: timeZone, mode: '5-or-6-parts', paused: true });
}
