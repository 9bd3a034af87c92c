import { type Command, InvalidArgumentError } from 'commander';
import {
  approveCampaign,
  CampaignInputError,
  type CampaignView,
  previewCampaign,
} from '../publisher/campaign/index.ts';
import type { Database } from '../shared/storage/database.ts';
import { addCatalogueOption, type CatalogueOptions, readCatalogue } from './campaign-catalogue.ts';
import { addOperateOptions, type OperateOptions } from './campaign-operate.ts';
import { COUNT_TIMEOUT_MS } from './campaign-preview.ts';
import { meant } from './campaign-print.ts';
import { readCount } from './dead-letter-filter.ts';

interface ApproveOptions extends OperateOptions, CatalogueOptions {
  readonly expect: number;
  readonly tolerance?: number;
}

/** `throughline campaign approve ID --expect N` */
export function addCampaignApprove(campaign: Command): void {
  const command = addCatalogueOption(campaign.command('approve'))
    .description(
      'say how many are meant, and let the audience be frozen; nothing is sent before it is started',
    )
    .requiredOption('--expect <n>', 'how many recipients are meant', readCount(1_000_000_000))
    .option(
      '--tolerance <share>',
      "by which part of it there may be more or fewer: 0 to 1 (default: the definition's)",
      readShare,
    )
    .option('--reason <text>', 'why; kept with the action')
    .addHelpText('after', HELP);
  addOperateOptions<ApproveOptions>(command, {
    action: 'approve',
    session: { statementTimeoutMs: COUNT_TIMEOUT_MS },
    question,
    async act(database, asked, { expect: expectedCount, tolerance }) {
      const view = await approveCampaign(database, { ...asked, expectedCount, tolerance });
      return { campaign: view, told: told(view) };
    },
  });
}

const HELP = `
More recipients than that, or fewer, and it halts before anything is sent. One that halted because of its count goes on
when it is approved again with the count that is meant.

Examples:
  $ throughline campaign approve autumn-terms --expect 20000
  $ throughline campaign approve autumn-terms --expect 20000 --tolerance 0.001 --yes`;

async function question(database: Database, view: CampaignView, options: ApproveOptions): Promise<string> {
  const { expect, tolerance = view.tolerance } = options;
  if (view.state === 'halted')
    return `Campaign ${view.id} has halted: ${view.reason}\n${view.frozen} recipients are in its ledger. Expect ${meant(expect, tolerance)}, and let it go on?`;
  const counted = await audienceOf(database, view, options);
  const fits = (count: number) => Math.abs(count - expect) <= expect * tolerance;
  const halts =
    counted === undefined || fits(counted.audience) ? '' : ' They differ by more than that: it would halt.';
  const facts =
    counted === undefined
      ? 'Its segments are not known here, so nobody has counted them.'
      : `There are ${counted.audience} recipients now (${counted.segments.map(({ name, count }) => `${name}: ${count}`).join(', ')}).`;
  return `Campaign ${view.id}: ${facts}\nExpect ${meant(expect, tolerance)}.${halts} Freeze them?`;
}

/** Shape: undefined when this command line has not the segments of the service whose campaign it is. */
async function audienceOf(database: Database, { id }: CampaignView, options: CatalogueOptions) {
  try {
    return await previewCampaign(database, { ...(await readCatalogue(options)), campaignId: id });
  } catch (error) {
    if (error instanceof CampaignInputError) return undefined;
    throw error;
  }
}

function told(view: CampaignView): string {
  const { id, state, expectedCount = 0, tolerance, startsAt } = view;
  const expected = `Campaign ${id} is approved: ${meant(expectedCount, tolerance)} recipients are expected`;
  if (state !== 'freezing') return `${expected}; it is ${state}.`;
  const next = startsAt === undefined ? ` Next: throughline campaign start ${id}` : '';
  return `${expected}, and their addresses are being frozen.${next}`;
}

function readShare(text: string): number {
  const share = Number(text);
  if (/^\d*\.?\d+$/.test(text) && share <= 1) return share;
  throw new InvalidArgumentError('It must be a number from 0 to 1: 0.01 is one in a hundred.');
}
