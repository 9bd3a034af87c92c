export type {
  AddressScheme,
  Notification,
  NotificationChannel,
  SendResult,
} from '../../shared/campaign/channel.ts';
export {
  type DeliverJob,
  type DeliverJobOptions,
  defineDeliverJob,
} from '../../shared/campaign/deliver-job.ts';
export { RECIPIENT_STATES, type RecipientState, type Tally } from '../../shared/campaign/recipient.ts';
export {
  EVERY_CATEGORY,
  type SuppressOptions,
  suppress,
  unsuppress,
} from '../../shared/campaign/suppression.ts';
export type { Template } from '../../shared/campaign/template.ts';
export { observeCampaigns } from './campaign-gauges.ts';
export {
  type CampaignDefinition,
  type CampaignDefinitionInput,
  campaignDefinitionSchema,
} from './definition.ts';
export {
  CampaignExistsError,
  CampaignInputError,
  CampaignStateError,
  UnknownCampaignError,
} from './errors.ts';
export {
  type ApproveOptions,
  approveCampaign,
  type CancelOptions,
  type CancelReceipt,
  cancelCampaign,
  type OperateCampaignOptions,
  pauseCampaign,
  type ReasonedOptions,
  resumeCampaign,
  startCampaign,
} from './operate.ts';
export {
  type CampaignCatalogue,
  type CampaignPreview,
  previewCampaign,
  type RegisterOptions,
  registerCampaign,
} from './register.ts';
export { type CampaignRunner, type CampaignRunnerOptions, createCampaignRunner } from './runner.ts';
export { defineSegment, type Segment, type SegmentDefinition } from './segment.ts';
export { CAMPAIGN_STATES, type CampaignAction, type CampaignState } from './state.ts';
export { type CampaignView, type ListCampaignsOptions, listCampaigns, viewCampaign } from './view.ts';
export { type WatchOptions, watchCampaign } from './watch.ts';
