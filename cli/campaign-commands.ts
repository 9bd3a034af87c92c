import type { Command } from 'commander';
import { addCampaignApprove } from './campaign-approve.ts';
import { addCampaignCancel } from './campaign-cancel.ts';
import { addCampaignCreate } from './campaign-create.ts';
import { addCampaignList } from './campaign-list.ts';
import { addCampaignPause } from './campaign-pause.ts';
import { addCampaignPreview } from './campaign-preview.ts';
import { addCampaignResume } from './campaign-resume.ts';
import { addCampaignStart } from './campaign-start.ts';
import { addCampaignStatus } from './campaign-status.ts';
import { addCampaignWatch } from './campaign-watch.ts';
import { addSuppressionAdd } from './suppression-add.ts';
import { addSuppressionRemove } from './suppression-remove.ts';

/** `throughline campaign …` and `throughline suppression …`, in the order in which they are used. */
export function addCampaignCommands(program: Command): void {
  const campaign = program
    .command('campaign')
    .description('one notification to many: register, preview, approve, send, stop, watch');
  addCampaignCreate(campaign);
  addCampaignPreview(campaign);
  addCampaignApprove(campaign);
  addCampaignStart(campaign);
  addCampaignPause(campaign);
  addCampaignResume(campaign);
  addCampaignCancel(campaign);
  addCampaignStatus(campaign);
  addCampaignList(campaign);
  addCampaignWatch(campaign);
  const suppression = program.command('suppression').description('whom campaigns do not write to');
  addSuppressionAdd(suppression);
  addSuppressionRemove(suppression);
}
