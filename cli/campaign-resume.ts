import type { Command } from 'commander';
import { type CampaignView, resumeCampaign } from '../publisher/campaign/index.ts';
import { addOperateOptions, type OperateOptions } from './campaign-operate.ts';

/** `throughline campaign resume ID` */
export function addCampaignResume(campaign: Command): void {
  const command = campaign
    .command('resume')
    .description('go on with a campaign that is paused or has halted')
    .option('--reason <text>', 'why; kept with the action')
    .addHelpText(
      'after',
      '\nExample:\n  $ throughline campaign resume autumn-terms --reason "the price is right"',
    );
  addOperateOptions<OperateOptions>(command, {
    action: 'resume',
    question: (_, view) => question(view),
    async act(database, asked) {
      const view = await resumeCampaign(database, asked);
      return { campaign: view, told: `Campaign ${view.id} goes on: it is ${view.state}.` };
    },
  });
}

function question({ id, state, reason, recipients }: CampaignView): string {
  const { sent, pending, failed, uncertain } = recipients;
  const bad = failed + uncertain === 0 ? '' : `, ${failed} have failed, ${uncertain} are uncertain`;
  return `Campaign ${id} is ${state}: ${reason}\n${sent} recipients were sent to${bad}. Go on with the ${pending} that are pending?`;
}
