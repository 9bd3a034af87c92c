import type { Command } from 'commander';
import { pauseCampaign } from '../publisher/campaign/index.ts';
import { addOperateOptions, type OperateOptions } from './campaign-operate.ts';

interface PauseOptions extends OperateOptions {
  readonly reason: string;
}

/** `throughline campaign pause ID` */
export function addCampaignPause(campaign: Command): void {
  const command = campaign
    .command('pause')
    .description('begin with nobody any more, until it is resumed')
    .requiredOption('--reason <text>', 'why; kept with the campaign')
    .addHelpText(
      'after',
      '\nExample:\n  $ throughline campaign pause autumn-terms --reason "a wrong price in it?"',
    );
  addOperateOptions<PauseOptions>(command, {
    action: 'pause',
    async act(database, asked, { reason }) {
      const view = await pauseCampaign(database, { ...asked, reason });
      const { sending } = view.underWay;
      const inside = sending === 0 ? '' : ` ${sending} are inside a partner's call, and end there.`;
      return {
        campaign: view,
        told: `Campaign ${view.id} is paused: nobody is begun with until it is resumed.${inside}`,
      };
    },
  });
}
