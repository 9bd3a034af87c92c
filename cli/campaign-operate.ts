import type { Command } from 'commander';
import { campaignDocument } from '../console/campaign-document.ts';
import { printable } from '../insight/printable.ts';
import { type CampaignAction, type CampaignView, viewCampaign } from '../publisher/campaign/index.ts';
import { POSSIBLE_IN } from '../publisher/campaign/state.ts';
import type { Database } from '../shared/storage/database.ts';
import { systemUser } from './actor.ts';
import { assertAskable, confirm } from './confirm.ts';
import { printJson, printLine } from './output.ts';
import { type SessionOptions, withDatabase } from './session.ts';

export interface OperateOptions {
  readonly reason?: string;
  readonly actor?: string;
  readonly yes?: boolean;
  readonly json?: boolean;
}

/** Who does it, to what, and why. */
export interface Asked {
  readonly campaignId: string;
  readonly actor: string;
  readonly reason: string | undefined;
  readonly via: 'cli';
}

/** What came of it. */
export interface Done {
  readonly campaign: CampaignView;
  /** For people. */
  readonly told: string;
  /** For programs, besides the campaign. */
  readonly more?: object;
}

export interface CampaignCommand<Options extends OperateOptions> {
  readonly action: CampaignAction;
  readonly session?: Partial<SessionOptions>;
  /** Asked before it is done; undefined: it is done without asking. */
  readonly question?: (database: Database, view: CampaignView, options: Options) => string | Promise<string>;
  readonly act: (database: Database, asked: Asked, options: Options) => Promise<Done>;
}

/** What `approve`, `start`, `pause`, `resume` and `cancel` have in common. */
export function addOperateOptions<Options extends OperateOptions>(
  command: Command,
  campaignCommand: CampaignCommand<Options>,
): void {
  command
    .argument('<campaign>', "the campaign's id")
    .option('--actor <name>', 'who does it (default: the user of the operating system)')
    .option('--yes', campaignCommand.question ? 'do not ask' : 'accepted, and not needed: this does not ask')
    .option('--json', 'print one JSON document')
    .action((campaignId: string, options: Options) => run(campaignCommand, campaignId, options));
}

async function run<Options extends OperateOptions>(
  { action, session, question, act }: CampaignCommand<Options>,
  campaignId: string,
  options: Options,
): Promise<void> {
  const asks = question !== undefined && options.yes !== true;
  if (asks) assertAskable(`campaign ${action}`, { input: process.stdin });
  const { actor = systemUser(), reason, json = false } = options;
  const { campaign, told, more } = await withDatabase({ purpose: 'act', ...session }, async (database) => {
    if (asks) await ask(database, campaignId, action, (view) => question(database, view, options));
    return act(database, { campaignId, actor, reason, via: 'cli' }, options);
  });
  if (json) return printJson({ action, actor, ...campaignDocument(campaign), ...more });
  printLine(printable(told));
  if (campaign.traceId !== undefined) printLine(`Trace ${campaign.traceId}`);
}

/** Without a question when there is a refusal to come. */
async function ask(
  database: Database,
  campaignId: string,
  action: CampaignAction,
  question: (view: CampaignView) => string | Promise<string>,
): Promise<void> {
  const view = await viewCampaign(database, campaignId);
  if (!POSSIBLE_IN[action].includes(view.state)) return;
  const sentences = (await question(view)).split('\n').map(printable).join('\n');
  await confirm(sentences, { input: process.stdin, output: process.stderr });
}
