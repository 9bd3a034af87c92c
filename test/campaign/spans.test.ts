import { expect, test } from 'vitest';
import { cancelCampaign, pauseCampaign, resumeCampaign } from '../../publisher/campaign/index.ts';
import { inSpan } from '../../shared/index.ts';
import { normalisedTree, type SpanRecord } from '../../testing/index.ts';
import { CAMPAIGN_ID, type CampaignLab, eachWithCampaignLab } from '../support/campaign-lab.ts';

/** The traces of a campaign: a small one of its own, and one for each recipient. */
let lab: CampaignLab;
eachWithCampaignLab((own) => {
  lab = own;
});

const ada = { campaignId: CAMPAIGN_ID, actor: 'ada' };
const ended = () => lab.until(({ endedAt }) => endedAt !== undefined);
const spans = async (): Promise<readonly SpanRecord[]> => {
  await lab.stage.flush();
  return lab.stage.collector.spans;
};
const tree = (of: readonly SpanRecord[]) => normalisedTree(of).replaceAll(lab.channel.topic, 'jobs');

test('a campaign’s trace is that of its operators’ requests; each recipient has one of their own, linked to it', async () => {
  await lab.addCustomers(2);
  await inSpan('POST /admin/campaigns/approve', {}, () => lab.approve());
  await inSpan('POST /admin/campaigns/start', {}, () => lab.start());
  await lab.everything();
  await ended();
  await lab.channel.settled.final(2);
  const send = [
    'send jobs [shop] link:caused-by→campaign autumn-terms',
    '  process jobs [shop] attempt=1 link:producer→send jobs',
  ];
  const own = await spans();
  expect(tree(own)).toBe(
    [
      'POST /admin/campaigns/approve [shop]',
      '  operate campaign.create [shop]',
      '  operate campaign.approve [shop]',
      '    campaign autumn-terms [shop] link:caused-by→operate campaign.create link:caused-by→operate campaign.approve link:caused-by→operate campaign.start',
      '      freeze autumn-terms [shop]',
      'POST /admin/campaigns/start [shop]',
      '  operate campaign.start [shop] link:caused-by→campaign autumn-terms',
      ...[...send, ...send],
    ].join('\n'),
  );
  const campaign = own.find(({ name }) => name === `campaign ${CAMPAIGN_ID}`);
  expect(campaign?.attributes).toMatchObject({
    'throughline.campaign.id': CAMPAIGN_ID,
    'throughline.campaign.state': 'finished',
    'throughline.campaign.sent': 2,
    'throughline.campaign.failed': 0,
  });
});

test('a campaign’s own trace does not grow with its audience', async () => {
  await lab.addCustomers(500);
  const { traceId } = await lab.approve();
  await lab.start();
  await lab.everything();
  await ended();
  await lab.channel.settled.final(500);
  const all = await spans();
  const names = all.filter((span) => span.traceId === traceId).map(({ name }) => name);
  expect(names.toSorted()).toEqual([
    'campaign autumn-terms',
    'freeze autumn-terms',
    'operate campaign.approve',
  ]);
  const sends = all.filter(({ name }) => name === `send ${lab.channel.topic}`);
  expect(new Set(sends.map((span) => span.traceId)).size).toBe(500);
});

test('what was done to it, and what it did by itself, are events of its span, with who and why', async () => {
  await lab.addCustomers(2);
  await lab.approve();
  await lab.start();
  await lab.runner();
  await lab.until(({ underWay }) => underWay.queued === 2);
  await pauseCampaign(lab.db.database, { ...ada, reason: 'wait' });
  await resumeCampaign(lab.db.database, { campaignId: CAMPAIGN_ID, actor: 'grace' });
  await cancelCampaign(lab.db.database, { ...ada, reason: 'a mistake' });
  await ended();
  const campaign = (await spans()).filter(({ name }) => name === `campaign ${CAMPAIGN_ID}`);
  expect(campaign).toHaveLength(1);
  expect(
    campaign[0]?.events.map(({ name, attributes }) => [name, attributes?.['actor'], attributes?.['reason']]),
  ).toEqual([
    ['campaign.create', 'ada', undefined],
    ['campaign.approve', 'ada', undefined],
    ['campaign.start', 'ada', undefined],
    ['campaign.frozen', 'throughline', undefined],
    ['campaign.started', 'throughline', undefined],
    ['campaign.pause', 'ada', 'wait'],
    ['campaign.resume', 'grace', undefined],
    ['campaign.cancel', 'ada', 'a mistake'],
  ]);
  expect(campaign[0]?.status).toMatchObject({ message: 'cancelled: a mistake' });
  expect(campaign[0]?.attributes).toMatchObject({
    'throughline.campaign.state': 'cancelled',
    'throughline.campaign.cancelled': 2,
  });
});

test('a question to the partner is a trace of its own', async () => {
  await lab.addCustomers(1);
  await lab.approve();
  await lab.start();
  lab.mail.behave(() => 'lost');
  await lab.everything();
  await ended();
  const asked = (await spans()).filter(({ name }) => name === 'ask email');
  expect(asked).toMatchObject([{ attributes: { 'throughline.campaign.id': CAMPAIGN_ID } }]);
  expect(asked[0]?.parentSpanId).toBeUndefined();
});

test('a campaign that was approved where nothing is traced is linked to its recipients all the same', async () => {
  await lab.addCustomers(1);
  await lab.approve();
  await lab.start();
  // As the command line stores it when it has no endpoint for spans.
  await lab.db.database.query(`UPDATE throughline.campaign SET span = (span::jsonb || '{"self":{}}')::json`);
  await lab.everything();
  const { traceId } = await ended();
  await lab.channel.settled.final(1);
  const own = await spans();
  const campaign = own.find(({ name }) => name === `campaign ${CAMPAIGN_ID}`);
  const sent = own.find(({ name }) => name === `send ${lab.channel.topic}`);
  expect(campaign?.traceId).toBe(traceId);
  expect(sent?.links.map(({ spanId }) => spanId)).toEqual([campaign?.spanId]);
});
