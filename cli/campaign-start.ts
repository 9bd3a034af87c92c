import type { Command } from 'commander';
import { type CampaignView, startCampaign } from '../publisher/campaign/index.ts';
import { addOperateOptions, type OperateOptions } from './campaign-operate.ts';
import { humaniseSeconds } from './campaign-print.ts';

/** `throughline campaign start ID` */
export function addCampaignStart(campaign: Command): void {
  const command = campaign
    .command('start')
    .description('send it, as soon as its audience is frozen and its time has come')
    .option('--reason <text>', 'why; kept with the action')
    .addHelpText('after', '\nExample:\n  $ throughline campaign start autumn-terms');
  addOperateOptions<OperateOptions>(command, {
    action: 'start',
    question: (_, view) => question(view),
    async act(database, asked) {
      const view = await startCampaign(database, asked);
      return { campaign: view, told: told(view) };
    },
  });
}

function question({ id, definition, frozen, isFrozen, expectedCount = 0 }: CampaignView): string {
  const { channel, perSecond, startsAt } = definition;
  const recipients = isFrozen ? frozen : expectedCount;
  const takes = humaniseSeconds(recipients / perSecond);
  const when = startsAt === undefined ? 'now' : `from ${startsAt} on`;
  const how = isFrozen ? '' : ' (its audience is still being frozen)';
  return `Campaign ${id}${how}: send to ${recipients} recipients by ${channel}, ${when}, at ${perSecond} a second (about ${takes})?`;
}

function told({ id, state, startsAt }: CampaignView): string {
  if (startsAt !== undefined && Date.parse(startsAt) > Date.now())
    return `Campaign ${id} is started: it is sent from ${startsAt} on.`;
  const when = state === 'freezing' ? 'as soon as its audience is frozen' : 'from now on';
  return `Campaign ${id} is started: it is sent ${when}. Next: throughline campaign watch ${id}`;
}
