import { ThroughlineError } from '../../shared/errors.ts';
import type { CampaignState } from './state.ts';

/** What was given to register, approve or operate a campaign makes no sense; nothing was done. */
export class CampaignInputError extends ThroughlineError {
  override readonly name = 'CampaignInputError';
  readonly code = 'CAMPAIGN_INPUT';
  /** One sentence each, beginning with the field. */
  readonly issues: readonly string[];

  constructor(of: string, issues: readonly string[]) {
    super(`${of}: ${issues.join('; ')}`);
    this.issues = issues;
  }
}

export class CampaignExistsError extends ThroughlineError {
  override readonly name = 'CampaignExistsError';
  readonly code = 'CAMPAIGN_EXISTS';
  readonly campaignId: string;

  constructor(campaignId: string, { actor, at }: { readonly actor: string; readonly at: string }) {
    super(`campaign ${campaignId} was registered already, by ${actor} at ${at}`);
    this.campaignId = campaignId;
  }
}

export class UnknownCampaignError extends ThroughlineError {
  override readonly name = 'UnknownCampaignError';
  readonly code = 'CAMPAIGN_UNKNOWN';
  readonly campaignId: string;

  constructor(campaignId: string) {
    super(`there is no campaign ${campaignId}`);
    this.campaignId = campaignId;
  }
}

/** The campaign's state does not allow it; of two operators at once the second is told what the first has done. */
export class CampaignStateError extends ThroughlineError {
  override readonly name = 'CampaignStateError';
  readonly code = 'CAMPAIGN_STATE';
  readonly campaignId: string;
  readonly state: CampaignState;

  constructor(campaignId: string, state: CampaignState, why: string) {
    super(`campaign ${campaignId} is ${state}: ${why}`);
    this.campaignId = campaignId;
    this.state = state;
  }
}
