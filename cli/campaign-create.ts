import type { Command } from 'commander';
import { fullCampaignDocument } from '../console/campaign-document.ts';
import { printable } from '../insight/printable.ts';
import { registerCampaign } from '../publisher/campaign/index.ts';
import { systemUser } from './actor.ts';
import { addCatalogueOption, type CatalogueOptions, readCatalogue } from './campaign-catalogue.ts';
import { readJsonFile } from './json-file.ts';
import { printJson, printLine } from './output.ts';
import { withDatabase } from './session.ts';

interface CreateOptions extends CatalogueOptions {
  readonly file: string;
  readonly actor?: string;
  readonly json?: boolean;
}

/** `throughline campaign create --file FILE` */
export function addCampaignCreate(campaign: Command): void {
  addCatalogueOption(campaign.command('create'))
    .description('register a campaign as a draft: it is checked and stored, and nothing is sent')
    .requiredOption('--file <path>', 'its definition as JSON; -: from the standard input')
    .option('--actor <name>', 'who does it (default: the user of the operating system)')
    .option('--json', 'print one JSON document')
    .addHelpText('after', HELP)
    .action(campaignCreate);
}

const HELP = `
A definition:
  {
    "id": "autumn-terms", "channel": "email", "category": "terms", "segments": ["customers"],
    "template": { "subject": "Our new terms", "body": "Dear {{firstName}}, …" },
    "perSecond": 100
  }
and, if wanted, startsAt, quietHours, tolerance, maxFailureShare: see docs/campaigns.md.

Examples:
  $ throughline campaign create --file autumn-terms.json
  $ generate-campaign | throughline campaign create --file - --json`;

async function campaignCreate(options: CreateOptions): Promise<void> {
  const { file, actor = systemUser(), json = false } = options;
  const [definition, catalogue] = await Promise.all([readJsonFile(file), readCatalogue(options)]);
  const view = await withDatabase({ purpose: 'act' }, (database) =>
    registerCampaign(database, { ...catalogue, definition, actor, via: 'cli' }),
  );
  if (json) return printJson(fullCampaignDocument(view));
  printLine(printable(`Campaign ${view.id} is registered as a draft; nothing is sent.`));
  printLine(printable(`Next: throughline campaign preview ${view.id}`));
}
