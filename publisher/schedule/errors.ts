import { ThroughlineError } from '../../shared/errors.ts';

export class UnknownScheduleError extends ThroughlineError {
  override readonly name = 'UnknownScheduleError';
  readonly code = 'SCHEDULE_UNKNOWN';
  readonly schedule: string;

  constructor(schedule: string) {
    super(`there is no schedule "${schedule}"`);
    this.schedule = schedule;
  }
}

/** Of two operators the second is told what the first has done. */
export class SchedulePausedError extends ThroughlineError {
  override readonly name = 'SchedulePausedError';
  readonly code = 'SCHEDULE_PAUSED';
  readonly schedule: string;

  constructor(schedule: string, { at, actor, reason }: { at: Date; actor: string; reason: string }) {
    super(`schedule "${schedule}" is paused already, by ${actor} at ${at.toISOString()}: ${reason}`);
    this.schedule = schedule;
  }
}

export class ScheduleNotPausedError extends ThroughlineError {
  override readonly name = 'ScheduleNotPausedError';
  readonly code = 'SCHEDULE_NOT_PAUSED';
  readonly schedule: string;

  constructor(schedule: string) {
    super(`schedule "${schedule}" is not paused`);
    this.schedule = schedule;
  }
}
