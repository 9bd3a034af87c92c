import { type Command, InvalidArgumentError } from 'commander';
import { campaignDocument } from '../console/campaign-document.ts';
import {
  CAMPAIGN_STATES,
  type CampaignState,
  type CampaignView,
  listCampaigns,
} from '../publisher/campaign/index.ts';
import { printJson, printLine, printTable } from './output.ts';
import { readLimit } from './saga-list.ts';
import { withDatabase } from './session.ts';

const DEFAULT_LIMIT = 50;

interface ListOptions {
  readonly state?: readonly CampaignState[];
  readonly limit: number;
  readonly json?: boolean;
}

/** `throughline campaign list` */
export function addCampaignList(campaign: Command): void {
  campaign
    .command('list')
    .description('campaigns, the newest first')
    .option('--state <states>', `only these, joined by commas: ${CAMPAIGN_STATES.join(', ')}`, readStates)
    .option('--limit <n>', 'how many at most, up to 10000', readLimit, DEFAULT_LIMIT)
    .option('--json', 'print one JSON document')
    .addHelpText('after', HELP)
    .action(campaignList);
}

const HELP = `
Examples:
  $ throughline campaign list
  $ throughline campaign list --state running,halted --json`;

async function campaignList({ state: states, limit, json = false }: ListOptions): Promise<void> {
  const campaigns = await withDatabase({ purpose: 'read' }, (database) =>
    listCampaigns(database, { limit, ...(states && { states }) }),
  );
  if (json) return printJson({ campaigns: campaigns.map(campaignDocument) });
  if (campaigns.length === 0) return printLine('There are no such campaigns.');
  printTable(
    ['CAMPAIGN', 'STATE', 'CHANNEL', 'CREATED', 'BY', 'EXPECTED', 'FROZEN', 'SENT', 'PENDING', 'REASON'],
    campaigns.map(rowOf),
  );
  if (campaigns.length === limit) console.error(`There may be more than these ${limit}: see --limit.`);
}

function rowOf(view: CampaignView): (string | number | undefined)[] {
  const { id, state, definition, createdAt, createdBy, expectedCount, frozen, recipients, reason } = view;
  const { sent, pending } = recipients;
  return [id, state, definition.channel, createdAt, createdBy, expectedCount, frozen, sent, pending, reason];
}

function readStates(text: string): CampaignState[] {
  const states = text.split(',').map((state) => state.trim());
  const unknown = states.filter((state) => !CAMPAIGN_STATES.some((known) => known === state));
  if (unknown.length === 0) return CAMPAIGN_STATES.filter((known) => states.includes(known));
  throw new InvalidArgumentError(`There is no state "${unknown.join('", "')}".`);
}
