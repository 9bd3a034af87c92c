import { type Command, InvalidArgumentError } from 'commander';
import { type JobSummary, listJobs } from '../console/jobs/find-jobs.ts';
import { JOB_STATES, type JobState } from '../console/jobs/job-state.ts';
import { humaniseMs } from '../insight/duration.ts';
import { readTime } from './dead-letter-filter.ts';
import { printJson, printLine, printTable } from './output.ts';
import { readLimit } from './saga-list.ts';
import { withDatabase } from './session.ts';

const DEFAULT_LIMIT = 50;

interface ListOptions {
  readonly job?: string;
  readonly order?: string;
  readonly state?: readonly JobState[];
  readonly since?: Date;
  readonly after?: string;
  readonly limit: number;
  readonly json?: boolean;
}

/** `throughline job list` */
export function addJobList(job: Command): void {
  job
    .command('list')
    .description('jobs, the newest first: those on their way, and those that are over and not yet forgotten')
    .option('--job <name>', 'only jobs of this name (workspace.set-up) or type (workspace.set-up.v1)')
    .option('--order <key>', 'only those of one order')
    .option('--state <states>', `only these, joined by commas: ${JOB_STATES.join(', ')}`, readStates)
    .option('--since <time>', 'enqueued at this time or later: RFC 3339, or an age such as 90m', readTime)
    .option('--limit <n>', 'how many at most, up to 10000', readLimit, DEFAULT_LIMIT)
    .option('--after <place>', 'the next page: what the page before gave as its end')
    .option('--json', 'print one JSON document')
    .addHelpText('after', HELP)
    .action(jobList);
}

const HELP = `
Payloads are only told by job show.

Examples:
  $ throughline job list --state dead,cancelled --since 24h
  $ throughline job list --order O-1042
  $ throughline job list --job workspace.set-up --state running --json`;

async function jobList(options: ListOptions): Promise<void> {
  const { job, order, state, since, after, limit, json = false } = options;
  const filter = { job, orderKey: order, states: state, since };
  const page = await withDatabase({ purpose: 'read' }, (database) =>
    listJobs(database, { filter, after, limit }),
  );
  if (json) return printJson(page);
  if (page.jobs.length === 0) return printLine('There are no such jobs.');
  printTable(['JOB', 'STATE', 'TYPE', 'ORDER', 'CONSUMER', 'TRIES', 'AGE', 'REASON'], page.jobs.map(rowOf));
  if (page.next !== undefined) console.error(`There are more; the next page: --after ${page.next}`);
}

function rowOf(job: JobSummary): (string | number | undefined)[] {
  const { jobId, state, jobType, orderKey, consumer, attempts, ageMs, reason } = job;
  return [jobId, state, jobType, orderKey, consumer, attempts, humaniseMs(ageMs), reason];
}

function readStates(text: string): JobState[] {
  const states = text.split(',').map((state) => state.trim());
  const unknown = states.filter((state) => !JOB_STATES.some((known) => known === state));
  if (unknown.length === 0) return JOB_STATES.filter((known) => states.includes(known));
  throw new InvalidArgumentError(`There is no state "${unknown.join('", "')}".`);
}
