import type { CampaignView } from '../publisher/campaign/index.ts';

/** A campaign for programs. `reason`: why it is paused, halted or cancelled; `traceId`: of the campaign's own trace. */
export function campaignDocument(view: CampaignView) {
  const { id, state, reason, definition, secondsLeft, perSecond, ...rest } = view;
  const { createdBy, createdAt, approvedBy, expectedCount, tolerance, startsAt, startedAt, endedAt } = rest;
  return {
    ...{ campaignId: id, state, reason },
    ...{ channel: definition.channel, category: definition.category, segments: definition.segments },
    ...{ createdBy, createdAt, approvedBy, expectedCount, tolerance, startsAt, startedAt, endedAt },
    ...{ frozen: rest.frozen, repeated: rest.repeated, isFrozen: rest.isFrozen },
    ...{ recipients: rest.recipients, underWay: rest.underWay, addsUp: rest.addsUp },
    ...{ perSecond, leftMs: secondsLeft === undefined ? undefined : Math.round(secondsLeft * 1_000) },
    traceId: rest.traceId,
  };
}

/** The same with what was registered. */
export function fullCampaignDocument(view: CampaignView) {
  return { ...campaignDocument(view), definition: view.definition };
}
