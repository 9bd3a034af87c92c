import { createRequire } from 'node:module';
import { Command } from 'commander';
import { addAdminServe } from './admin-serve.ts';
import { addCampaignCommands } from './campaign-commands.ts';
import { addCapacity } from './capacity.ts';
import { addDbMigrate } from './db-migrate.ts';
import { addDbStatus } from './db-status.ts';
import { addDeadLetterDrop } from './dead-letter-drop.ts';
import { addDeadLetterList } from './dead-letter-list.ts';
import { addDeadLetterRedrive } from './dead-letter-redrive.ts';
import { addDeadLetterShow } from './dead-letter-show.ts';
import { addFenceAdd } from './fence-add.ts';
import { addFenceLift } from './fence-lift.ts';
import { addFenceList } from './fence-list.ts';
import { addJobList } from './job-list.ts';
import { addJobShow } from './job-show.ts';
import { addOrderList } from './order-list.ts';
import { addOrderPlace } from './order-place.ts';
import { addOrderShow } from './order-show.ts';
import { addOrderWatch } from './order-watch.ts';
import { addProfileCommands } from './profile-commands.ts';
import { addSagaList } from './saga-list.ts';
import { addSagaResolve } from './saga-resolve.ts';
import { addSagaRetry } from './saga-retry.ts';
import { addSagaShow } from './saga-show.ts';
import { addSagaSkip } from './saga-skip.ts';
import { addSamplingEstimate } from './sampling-estimate.ts';
import { addScheduleList } from './schedule-list.ts';
import { addSchedulePause } from './schedule-pause.ts';
import { addScheduleRemove } from './schedule-remove.ts';
import { addScheduleResume } from './schedule-resume.ts';
import { addSloReport } from './slo-report.ts';
import { addTopologyApply } from './topology-apply.ts';
import { addTopologyDiff } from './topology-diff.ts';

const { version } = createRequire(import.meta.url)('throughline/package.json') as { version: string };

/** Every command, ready to parse. Errors of parsing: CommanderError, said on stderr already. */
export function createProgram(): Command {
  const program = new Command('throughline')
    .description(
      'Looks after the database, sagas, jobs, fences, dead letters, campaigns, schedules and topics of services that are built on Throughline.',
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
  const job = program.command('job').description('jobs: how far they are');
  addJobList(job);
  addJobShow(job);
  const order = program.command('order').description('orders of the reference shop: place and follow them');
  addOrderPlace(order);
  addOrderList(order);
  addOrderShow(order);
  addOrderWatch(order);
  const topology = program
    .command('topology')
    .description('topics and subscriptions: as they are declared, or not');
  addTopologyDiff(topology);
  addTopologyApply(topology);
  const admin = program.command('admin').description('what operators do, over HTTP');
  addAdminServe(admin);
  const slo = program.command('slo').description('objectives: what was promised, and what became of it');
  addSloReport(slo);
  addCapacity(program);
  addCampaignCommands(program);
  addSamplingEstimate(program.command('sampling').description('sampling: what it costs'));
  addProfileCommands(program);
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

Exit codes: 0 done, 1 failed (the reason is on stderr), 2 wrong arguments or settings, 3 done, and there is something to look
at; order watch has more.

Examples:
  $ throughline db migrate
  $ throughline saga list --state stuck
  $ throughline saga show 0192f0c1-7f3e-7b1a-9a55-0d6a7f0c9e11
  $ throughline saga retry 0192f0c1-7f3e-7b1a-9a55-0d6a7f0c9e11
  $ throughline dead-letter list --since 24h
  $ throughline slo report --prometheus http://127.0.0.1:9090
  $ throughline campaign watch autumn-terms`;
