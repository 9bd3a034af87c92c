import type { z } from 'zod';
import { ThroughlineError } from '../../shared/errors.ts';
import type { Job } from '../../shared/job/define.ts';
import { isStorable } from '../../shared/storable.ts';
import { type CronRule, cronProblems } from './cron.ts';

/**
 * What becomes of ticks that came while no scheduler ran: `skip` leaves them out, `fire-once` makes up for all of them with one
 * firing, that of the first.
 */
export type Missed = 'skip' | 'fire-once';

/** A firing, as the payload and the order key may depend on it. */
export interface Firing {
  readonly schedule: string;
  /** For which it is. */
  readonly tick: Date;
  /** It comes late, and stands for all ticks since. */
  readonly isMissed: boolean;
}

export interface ScheduleDefinition<Schema extends z.ZodType> extends CronRule {
  /** At most 200 characters. What is registered under it is replaced by the process that starts last. */
  readonly name: string;
  readonly job: Job<Schema>;
  readonly payload: z.input<Schema> | ((firing: Firing) => z.input<Schema>);
  /** Default: none. */
  readonly orderKey?: (firing: Firing) => string;
  readonly attributes?: Readonly<Record<string, string>>;
  /** Default `fire-once`. */
  readonly missed?: Missed;
}

/** A schedule whose payload fits its job. */
export interface Schedule extends CronRule {
  readonly name: string;
  readonly job: Job;
  readonly missed: Missed;
  readonly payloadOf: (firing: Firing) => unknown;
  readonly orderKeyOf: ((firing: Firing) => string) | undefined;
  readonly attributes: Readonly<Record<string, string>> | undefined;
}

/** A schedule that cannot work as it is defined. */
export class ScheduleDefinitionError extends ThroughlineError {
  override readonly name = 'ScheduleDefinitionError';
  readonly code = 'SCHEDULE_DEFINITION';
}

const MAX_NAME_CHARS = 200;

/** Errors: ScheduleDefinitionError with everything that makes no sense. */
export function defineSchedule<Schema extends z.ZodType>(definition: ScheduleDefinition<Schema>): Schedule {
  const { name, cron, timeZone, job, payload, orderKey, attributes, missed = 'fire-once' } = definition;
  const problems = [
    (!name || name.length > MAX_NAME_CHARS || !isStorable(name)) &&
      `name: expected 1 to ${MAX_NAME_CHARS} characters`,
    missed !== 'skip' && missed !== 'fire-once' && `missed: expected "skip" or "fire-once", got "${missed}"`,
    ...cronProblems({ cron, timeZone }),
  ].filter((problem) => problem !== false);
  if (problems.length > 0) throw new ScheduleDefinitionError(`schedule "${name}": ${problems.join('; ')}`);
  const payloadOf = typeof payload === 'function' ? (payload as (firing: Firing) => unknown) : () => payload;
  return { name, cron, timeZone, job, missed, payloadOf, orderKeyOf: orderKey, attributes };
}
