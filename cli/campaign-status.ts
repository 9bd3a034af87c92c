import type { Command } from 'commander';
import { fullCampaignDocument } from '../console/campaign-document.ts';
import { type CampaignView, viewCampaign } from '../publisher/campaign/index.ts';
import { printCampaign } from './campaign-print.ts';
import { EXIT } from './failure.ts';
import { printJson } from './output.ts';
import { withDatabase } from './session.ts';

/** `throughline campaign status ID` */
export function addCampaignStatus(campaign: Command): void {
  campaign
    .command('status')
    .description('one campaign: its facts, and what has become of its recipients')
    .argument('<campaign>', "the campaign's id")
    .option('--json', 'print one JSON document')
    .addHelpText('after', HELP)
    .action(campaignStatus);
}

const HELP = `
Exit code 3: it has halted, was cancelled, or its ledger does not add up.

Examples:
  $ throughline campaign status autumn-terms
  $ throughline campaign status autumn-terms --json`;

async function campaignStatus(
  campaignId: string,
  { json = false }: { readonly json?: boolean },
): Promise<void> {
  const view = await withDatabase({ purpose: 'read' }, (database) => viewCampaign(database, campaignId));
  if (json) printJson(fullCampaignDocument(view));
  else printCampaign(view);
  if (needsAttention(view)) process.exitCode = EXIT.attention;
}

/** It will not get to its end as it was meant to. */
export function needsAttention({ state, addsUp }: CampaignView): boolean {
  return state === 'halted' || state === 'cancelled' || !addsUp;
}
