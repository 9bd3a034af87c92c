import { createRequire } from 'node:module';
import { Command } from 'commander';
import { addDbMigrate } from './db-migrate.ts';
import { addDbStatus } from './db-status.ts';
import { addDeadLetterDrop } from './dead-letter-drop.ts';
import { addDeadLetterList } from './dead-letter-list.ts';
import { addDeadLetterRedrive } from './dead-letter-redrive.ts';
import { addDeadLetterShow } from './dead-letter-show.ts';
import { addFenceAdd } from './fence-add.ts';
import { addFenceLift } from './fence-lift.ts';
import { addFenceList } from './fence-list.ts';
import { addSagaList } from './saga-list.ts';
import { addSagaResolve } from './saga-resolve.ts';
import { addSagaRetry } from './saga-retry.ts';
import { addSagaShow } from './saga-show.ts';
import { addSagaSkip } from './saga-skip.ts';
import { addScheduleList } from './schedule-list.ts';
import { addSchedulePause } from './schedule-pause.ts';
import { addScheduleRemove } from './schedule-remove.ts';
import { addScheduleResume } from './schedule-resume.ts';

const { version } = createRequire(import.meta.url)('throughline/package.json') as { version: string };

/** Every command, ready to parse. Errors of parsing: CommanderError, said on stderr already. */
export function createProgram(): Command {
  const program = new Command('throughline')
    .description(
      'Looks after the database, sagas, fences, dead letters and schedules of services that are built on Throughline.',
    )
    .version(version)
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(`${oneLine(text)}\n`) })
    .addHelpText('after', HELP);
  const db = program.command('db').description("the database's schema");
  addDbMigrate(db);
  addDbStatus(db);
  const saga = program.command('saga').description('sagas: look at them, and deal with those that are stuck');
  addSagaList(saga);
  addSagaShow(saga);
  addSagaRetry(saga);
  addSagaSkip(saga);
  addSagaResolve(saga);
  const fence = program.command('fence').description('fences: pause or cancel jobs, and let them run again');
  addFenceAdd(fence);
  addFenceList(fence);
  addFenceLift(fence);
  const deadLetter = program
    .command('dead-letter')
    .description('jobs that were given up: look at them, redrive or drop them');
  addDeadLetterList(deadLetter);
  addDeadLetterShow(deadLetter);
  addDeadLetterRedrive(deadLetter);
  addDeadLetterDrop(deadLetter);
  const schedule = program
    .command('schedule')
    .description('jobs that are enqueued by the clock: look at them, pause or resume them');
  addScheduleList(schedule);
  addSchedulePause(schedule);
  addScheduleResume(schedule);
  addScheduleRemove(schedule);
  return program;
}

function oneLine(text: string): string {
  return text
    .trim()
    .replace(/^error: /, 'throughline: ')
    .replace(/\s*\n\s*/g, ' ');
}

const HELP = `
The database is the one of DATABASE_URL (postgresql://user:password@host:port/database). With
OTEL_EXPORTER_OTLP_ENDPOINT set, what an operator does is traced, and linked to the saga.

Exit codes: 0 done, 1 failed (the reason is on stderr), 2 wrong arguments or settings.

Examples:
  $ throughline db migrate
  $ throughline saga list --state stuck
  $ throughline saga show 0192f0c1-7f3e-7b1a-9a55-0d6a7f0c9e11
  $ throughline saga retry 0192f0c1-7f3e-7b1a-9a55-0d6a7f0c9e11
  $ throughline dead-letter list --since 24h`;
