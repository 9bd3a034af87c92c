import { type Command, InvalidArgumentError } from 'commander';
import { campaignDocument } from '../console/campaign-document.ts';
import { type CampaignView, watchCampaign } from '../publisher/campaign/index.ts';
import { progressLine, progressLines } from './campaign-progress.ts';
import { needsAttention } from './campaign-status.ts';
import { EXIT } from './failure.ts';
import { stopsOnInterrupt } from './interrupt.ts';
import { createLiveDisplay } from './live-display.ts';
import { printJsonLine, printLine } from './output.ts';
import { withDatabase } from './session.ts';

interface WatchOptions {
  readonly every: number;
  readonly json?: boolean;
}

/** `throughline campaign watch ID` */
export function addCampaignWatch(campaign: Command): void {
  campaign
    .command('watch')
    .description('follow a campaign until it has ended or halts; on a terminal as a progress bar')
    .argument('<campaign>', "the campaign's id")
    .option('--every <s>', 'how often to look, in s', readSeconds, 1)
    .option('--json', 'print a JSON document on a line of its own now and at each change')
    .addHelpText('after', HELP)
    .action(campaignWatch);
}

const HELP = `
Ctrl-C ends the watching, not the campaign.
Exit code 0: it has finished; 1: the watching ended before the campaign; 3: it has halted, or was cancelled.

Examples:
  $ throughline campaign watch autumn-terms
  $ throughline campaign watch autumn-terms --every 10 --json`;

async function campaignWatch(campaignId: string, { every, json = false }: WatchOptions): Promise<void> {
  const show = json ? (view: CampaignView) => printJsonLine(campaignDocument(view)) : createProgress();
  const stopping = stopsOnInterrupt();
  const { signal } = stopping;
  const last = await withDatabase({ purpose: 'read' }, async (database) => {
    let seen: CampaignView | undefined;
    for await (const view of watchCampaign(database, { campaignId, everyMs: every * 1_000, signal })) {
      seen = view;
      show(view);
      if (view.state === 'halted') break; // nothing changes before somebody says so
    }
    return seen;
  });
  stopping.end();
  if (last && needsAttention(last)) process.exitCode = EXIT.attention;
  else if (last?.endedAt === undefined) process.exitCode = EXIT.failure;
}

function createProgress(): (view: CampaignView) => void {
  const { stdout } = process;
  if (!stdout.isTTY) return (view) => printLine(`${new Date().toISOString()}  ${progressLine(view)}`);
  const display = createLiveDisplay(stdout);
  return (view) => display.show(progressLines(view, stdout.columns));
}

function readSeconds(text: string): number {
  const seconds = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && seconds >= 0.05 && seconds <= 3_600) return seconds;
  throw new InvalidArgumentError('It must be a number from 0.05 to 3600.');
}
