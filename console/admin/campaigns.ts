import { z } from 'zod';
import {
  approveCampaign,
  CAMPAIGN_STATES,
  type CampaignCatalogue,
  campaignDefinitionSchema,
  cancelCampaign,
  listCampaigns,
  pauseCampaign,
  previewCampaign,
  RECIPIENT_STATES,
  registerCampaign,
  resumeCampaign,
  startCampaign,
  viewCampaign,
} from '../../publisher/campaign/index.ts';
import { defineRoute, type Route } from '../../shared/http/route.ts';
import type { Database } from '../../shared/storage/database.ts';
import { campaignDocument, fullCampaignDocument } from '../campaign-document.ts';
import { actor, id, limit, maybe, maybeText, maybeTime, maybeTrace, reason, someOf, time } from './fields.ts';

const count = z.int().min(0);
const facts = {
  campaignId: z.string(),
  state: z.enum(CAMPAIGN_STATES),
  reason: maybeText,
  channel: z.string(),
  category: z.string(),
  segments: z.array(z.string()),
  createdBy: z.string(),
  createdAt: time,
  approvedBy: maybeText,
  expectedCount: maybe(count),
  tolerance: z.number(),
  startsAt: maybeTime,
  startedAt: maybeTime,
  endedAt: maybeTime,
  frozen: count,
  repeated: count,
  isFrozen: z.boolean(),
  recipients: z.strictObject(
    Object.fromEntries(RECIPIENT_STATES.map((state) => [state, count])) as Record<
      (typeof RECIPIENT_STATES)[number],
      typeof count
    >,
  ),
  underWay: z.strictObject({ queued: count, sending: count }),
  addsUp: z.boolean(),
  perSecond: maybe(z.number()),
  leftMs: maybe(z.number()),
  traceId: maybeTrace,
};
const campaign = z.strictObject(facts).meta({ id: 'Campaign' });
const fullCampaign = z
  .strictObject({ ...facts, definition: campaignDefinitionSchema })
  .meta({ id: 'RegisteredCampaign' });
const preview = z
  .strictObject({
    campaignId: z.string(),
    state: z.enum(CAMPAIGN_STATES),
    audience: count,
    segments: z.array(z.strictObject({ name: z.string(), count })),
    samples: z.array(
      z.strictObject({
        recipientId: z.string(),
        address: z.string(),
        subject: z.string(),
        body: z.string(),
      }),
    ),
    unreachable: z.array(z.strictObject({ recipientId: z.string(), problem: z.string() })),
  })
  .meta({ id: 'CampaignPreview' });

const params = z.strictObject({ campaignId: id });
const UNKNOWN = { '404': 'There is no such campaign.' } as const;
const REFUSALS = {
  ...UNKNOWN,
  '409': 'Its state does not allow that, or another operator was first.',
} as const;

/** A template may be long. */
const MAX_DEFINITION = '256kb';

/** What `throughline campaign …` does, with the segments and channels of `catalogue`. */
export function campaignRoutes(database: Database, catalogue: CampaignCatalogue): Route[] {
  return [...reading(database, catalogue), ...operating(database, catalogue)];
}

function reading(database: Database, catalogue: CampaignCatalogue): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/admin/campaigns',
      operationId: 'listCampaigns',
      summary: 'Campaigns, the newest first.',
      query: z.strictObject({ state: someOf(CAMPAIGN_STATES).optional(), limit }),
      document: z.strictObject({ campaigns: z.array(campaign) }),
      run: async ({ query: { state, limit: most } }) => {
        const found = await listCampaigns(database, { limit: most, ...(state && { states: state }) });
        return { campaigns: found.map(campaignDocument) };
      },
    }),
    defineRoute({
      method: 'get',
      path: '/admin/campaigns/{campaignId}',
      operationId: 'showCampaign',
      summary: 'One campaign, and what has become of its recipients.',
      params,
      document: fullCampaign,
      refusals: UNKNOWN,
      run: async ({ params: { campaignId } }) =>
        fullCampaignDocument(await viewCampaign(database, campaignId)),
    }),
    defineRoute({
      method: 'get',
      path: '/admin/campaigns/{campaignId}/preview',
      operationId: 'previewCampaign',
      summary: 'A dry run: how many there are, what ten of them would get. Holds addresses and names.',
      params,
      document: preview,
      refusals: UNKNOWN,
      run: async ({ params: { campaignId } }) => {
        const { campaign: view, ...rest } = await previewCampaign(database, { campaignId, ...catalogue });
        return { campaignId, state: view.state, ...rest };
      },
    }),
  ];
}

function operating(database: Database, catalogue: CampaignCatalogue): Route[] {
  const via = 'http' as const;
  const path = (action: string) => `/admin/campaigns/{campaignId}/${action}`;
  return [
    defineRoute({
      method: 'post',
      path: '/admin/campaigns',
      operationId: 'createCampaign',
      summary: 'Registers a campaign as a draft; nobody is written to.',
      body: z.strictObject({ actor, definition: campaignDefinitionSchema }),
      maxBody: MAX_DEFINITION,
      document: fullCampaign,
      refusals: { '409': 'There is one with this id.' },
      run: async ({ body }) =>
        fullCampaignDocument(await registerCampaign(database, { ...body, ...catalogue, via })),
    }),
    defineRoute({
      method: 'post',
      path: path('approve'),
      operationId: 'approveCampaign',
      summary:
        'Lets the audience be frozen. It halts when there are more or fewer than expected, beyond its tolerance.',
      params,
      body: z.strictObject({
        actor,
        expectedCount: z.int().min(1).max(1_000_000_000),
        tolerance: z.number().min(0).max(1).optional(),
      }),
      document: campaign,
      refusals: REFUSALS,
      run: async ({ params: { campaignId }, body }) =>
        campaignDocument(await approveCampaign(database, { campaignId, ...body, via })),
    }),
    ...[
      {
        action: 'start',
        operationId: 'startCampaign',
        act: startCampaign,
        summary: 'Lets it be sent, once it is frozen and its time has come.',
      },
      {
        action: 'resume',
        operationId: 'resumeCampaign',
        act: resumeCampaign,
        summary: 'Goes on with one that is paused or has halted.',
      },
    ].map(({ action, operationId, act, summary }) =>
      defineRoute({
        ...{ method: 'post', path: path(action), operationId, summary, params },
        body: z.strictObject({ actor }),
        document: campaign,
        refusals: REFUSALS,
        run: async ({ params: { campaignId }, body }) =>
          campaignDocument(await act(database, { campaignId, ...body, via })),
      }),
    ),
    defineRoute({
      method: 'post',
      path: path('pause'),
      operationId: 'pauseCampaign',
      summary: 'Begins with nobody any more until it is resumed.',
      params,
      body: z.strictObject({ actor, reason }),
      document: campaign,
      refusals: REFUSALS,
      run: async ({ params: { campaignId }, body }) =>
        campaignDocument(await pauseCampaign(database, { campaignId, ...body, via })),
    }),
    defineRoute({
      method: 'post',
      path: path('cancel'),
      operationId: 'cancelCampaign',
      summary: "Ends it for good; answers when nobody is inside a partner's call any more.",
      params,
      body: z.strictObject({ actor, reason, silenceWithinMs: z.int().min(0).max(60_000).optional() }),
      document: z.strictObject({ ...facts, silentAfterMs: z.number(), stillInside: count }),
      refusals: REFUSALS,
      run: async ({ params: { campaignId }, body: { silenceWithinMs, ...body } }) => {
        const { campaign: view, ...rest } = await cancelCampaign(database, {
          ...{ campaignId, ...body, via },
          ...(silenceWithinMs !== undefined && { silenceWithinMs }),
        });
        return { ...campaignDocument(view), ...rest };
      },
    }),
  ];
}
