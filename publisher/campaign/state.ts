/**
 * `draft`: registered. `freezing`: approved, its audience is being written into the ledger. `frozen`: complete, not started.
 * `running`. `paused`: by an operator. `halted`: by itself. `cancelled`: for good; the ledger is being settled until it has
 * ended. `finished`: every recipient's state is final.
 */
export const CAMPAIGN_STATES = [
  'draft',
  'freezing',
  'frozen',
  'running',
  'paused',
  'halted',
  'cancelled',
  'finished',
] as const;
export type CampaignState = (typeof CAMPAIGN_STATES)[number];

/** What a campaign that is paused or halted goes on with. */
export type ReturnState = 'freezing' | 'frozen' | 'running';

/** What operators do with a campaign that is registered. */
export type CampaignAction = 'approve' | 'start' | 'pause' | 'resume' | 'cancel';

/** In which states each action is possible. A cancelled campaign has none: dead stays dead. */
export const POSSIBLE_IN: Readonly<Record<CampaignAction, readonly CampaignState[]>> = {
  approve: ['draft', 'halted'],
  start: ['freezing', 'frozen'],
  pause: ['freezing', 'frozen', 'running'],
  resume: ['paused', 'halted'],
  cancel: ['draft', 'freezing', 'frozen', 'running', 'paused', 'halted'],
};
