import type { Command } from 'commander';
import type { JobSummary } from '../console/jobs/find-jobs.ts';
import { jobDocument } from '../console/jobs/job-document.ts';
import { type JobDetail, showJob } from '../console/jobs/show-job.ts';
import { humaniseMs } from '../insight/duration.ts';
import { printable } from '../insight/printable.ts';
import { printJson, printLine, printTable } from './output.ts';
import { payloadLines } from './payload-print.ts';
import { withDatabase } from './session.ts';

/** `throughline job show ID` */
export function addJobShow(job: Command): void {
  job
    .command('show')
    .description(
      'one job: how far it is, its message with the payload, its dead letters, and who cancelled it',
    )
    .argument('<job>', "the job's id")
    .option('--json', 'print one JSON document, with the whole payload')
    .addHelpText(
      'after',
      '\nThe payload may hold personal data.\n\nExample:\n  $ throughline job show 0192f0c1-7f3e-7b1a-9a55-0d6a7f0c9e11/set-up-workspace',
    )
    .action(jobShow);
}

async function jobShow(jobId: string, { json = false }: { readonly json?: boolean }): Promise<void> {
  const job = await withDatabase({ purpose: 'read' }, (database) => showJob(database, jobId));
  if (json) printJson(jobDocument(job));
  else printJob(job);
}

function printJob({ jobId, consumers, message, deadLetters }: JobDetail): void {
  printLine(printable(`job ${jobId}`));
  for (const consumer of consumers) {
    printLine('');
    for (const [label, value] of facts(consumer))
      if (value !== undefined) printLine(`${label.padEnd(13)}${printable(String(value))}`);
  }
  if (deadLetters.length > 0) {
    printLine('');
    printTable(
      ['DEAD LETTER', 'STATE', 'DIED', 'TRIES', 'REASON'],
      deadLetters.map(({ letterId, state, diedAt, attempts, reason }) => [
        ...[letterId, state, diedAt, attempts, reason],
      ]),
    );
  }
  printLine('');
  if (message) printMessage(message);
  else printLine('Its message is forgotten: the outbox keeps none of a job that is finished.');
}

function printMessage(message: NonNullable<JobDetail['message']>): void {
  const { from, topic, attributes, carrier, data } = message;
  printLine(printable(`As in the ${from === 'outbox' ? 'outbox' : 'latest dead letter'}, for ${topic}:`));
  printTable(
    ['ATTRIBUTE', 'VALUE'],
    [
      ...Object.entries(attributes),
      ...Object.entries(carrier).map(([key, value]) => [`carrier: ${key}`, value]),
    ],
  );
  printLine('');
  for (const line of payloadLines(data)) printLine(line);
}

function facts(job: JobSummary): [string, string | number | undefined][] {
  const { consumer, cancelledBy, fenceId } = job;
  const fence = fenceId === undefined ? '' : `, by fence ${fenceId}`;
  return [
    ['consumer', consumer === '*' ? 'all' : (consumer ?? 'none yet')],
    ['state', job.state],
    ['reason', job.reason],
    ['cancelled by', cancelledBy === undefined ? undefined : `${cancelledBy}${fence}`],
    ['type', job.jobType],
    ['order', job.orderKey],
    ['tries', job.attempts],
    ['sent', job.sends === undefined ? undefined : `${job.sends} times`],
    ['age', humaniseMs(job.ageMs)],
    ['enqueued', job.enqueuedAt],
    ['due', job.dueAt],
    ['last sent', job.sentAt],
    ['last run', job.claimedAt],
    ['finished', job.finishedAt],
    ['trace', job.traceId],
  ];
}
