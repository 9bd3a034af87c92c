import type { Command } from 'commander';
import { printable } from '../insight/printable.ts';
import { type CampaignPreview, previewCampaign } from '../publisher/campaign/index.ts';
import { addCatalogueOption, type CatalogueOptions, readCatalogue } from './campaign-catalogue.ts';
import { printJson, printLine, printTable } from './output.ts';
import { withDatabase } from './session.ts';

interface PreviewOptions extends CatalogueOptions {
  readonly json?: boolean;
}

/** Counting a large audience takes longer than an operator's other questions. */
export const COUNT_TIMEOUT_MS = 300_000;
/** Of a sample, for people: the rest is said to be there. */
const MAX_LINES = 30;

/** `throughline campaign preview ID` */
export function addCampaignPreview(campaign: Command): void {
  addCatalogueOption(campaign.command('preview'))
    .description('a dry run: how many would get it, what the first ten would get, and who would get nothing')
    .argument('<campaign>', "the campaign's id")
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  $ throughline campaign preview autumn-terms')
    .action(campaignPreview);
}

async function campaignPreview(campaignId: string, options: PreviewOptions): Promise<void> {
  const catalogue = await readCatalogue(options);
  const preview = await withDatabase({ purpose: 'read', statementTimeoutMs: COUNT_TIMEOUT_MS }, (database) =>
    previewCampaign(database, { ...catalogue, campaignId }),
  );
  const { campaign, ...counted } = preview;
  if (options.json) return printJson({ campaignId, state: campaign.state, ...counted });
  printPreview(preview);
}

function printPreview({ campaign, audience, segments, samples, unreachable }: CampaignPreview): void {
  printTable(
    ['SEGMENT', 'RECIPIENTS'],
    [...segments.map(({ name, count }) => [name, count]), ['each counted once', audience]],
  );
  for (const { recipientId, address, subject, body } of samples) {
    printLine(printable(`\n── ${recipientId} <${address}>`).trim());
    if (subject !== '') printLine(printable(`   ${subject}`));
    printLine('');
    const lines = body.split(/\r\n|\n|\r/);
    for (const line of lines.slice(0, MAX_LINES)) printLine(`   ${printable(line)}`.trimEnd());
    if (lines.length > MAX_LINES) printLine(`   … and ${lines.length - MAX_LINES} more lines`);
    printLine('');
  }
  if (unreachable.length > 0) {
    printLine('Among the first of each segment these would get nothing:');
    printTable(
      ['RECIPIENT', 'WHY'],
      unreachable.map(({ recipientId, problem }) => [recipientId, problem]),
    );
    printLine('');
  }
  if (campaign.state === 'draft')
    printLine(printable(`Next: throughline campaign approve ${campaign.id} --expect ${audience}`));
}
