import type { Dashboard, Panel } from './panel.ts';
import { perMinute, perSecond, shareOf, stored } from './query.ts';

const NOW: readonly Panel[] = [
  {
    title: 'How many campaigns are under way?',
    help: 'From PostgreSQL, by state: approved ones that are not over.',
    as: 'stack',
    unit: 'count',
    lines: [{ query: stored('throughline.campaigns.open', { by: ['state'] }), legend: '{{state}}' }],
  },
  {
    title: 'Has one stopped by itself?',
    help: 'Too many recipients, too few, or too many failures: `throughline campaign show` says which. It goes on when somebody approves it again.',
    as: 'number',
    unit: 'count',
    limit: 1,
    alerts: ['CampaignHalted'],
    lines: [
      { query: stored('throughline.campaigns.open', { where: { state: 'halted' } }), legend: 'halted' },
    ],
  },
  {
    title: 'Of how many is it not known whether they were written to?',
    help: 'An answer was lost, and the partner does not say either. They are not written to again by themselves.',
    as: 'number',
    unit: 'count',
    limit: 1,
    alerts: ['CampaignUncertain'],
    lines: [
      {
        query: stored('throughline.campaign.recipients', { where: { state: 'uncertain' } }),
        legend: 'uncertain',
      },
    ],
  },
  {
    title: 'What has become of their recipients?',
    help: 'From the ledger of the campaigns that are under way: together all that were frozen.',
    as: 'stack',
    unit: 'count',
    lines: [{ query: stored('throughline.campaign.recipients', { by: ['state'] }), legend: '{{state}}' }],
  },
];

const SENDING: readonly Panel[] = [
  {
    title: 'How fast are they sent?',
    help: 'Recipients handed to the queue, and those of whom a partner said `sent`. Apart for long: the workers are behind, or their rate is too low.',
    as: 'lines',
    unit: 'per second',
    lines: [
      { query: perSecond('throughline.campaign.enqueued'), legend: 'enqueued' },
      { query: perSecond('throughline.campaign.deliveries', { where: { outcome: 'sent' } }), legend: 'sent' },
    ],
  },
  {
    title: 'What do partners make of them?',
    help: '`refused`: this address never. `busy`: later. `unsent`: not at all. `unknown`: the answer was lost, and is asked for.',
    as: 'lines',
    unit: 'per second',
    lines: [
      {
        query: perSecond('throughline.campaign.deliveries', { by: ['channel', 'outcome'] }),
        legend: '{{channel}} {{outcome}}',
      },
    ],
  },
  {
    title: 'Which share is refused?',
    help: 'Of what was sent or refused, by channel. A campaign halts by itself above its own limit; a high share says that the audience is old or wrong.',
    as: 'lines',
    unit: 'share',
    lines: [
      {
        query: shareOf(
          perSecond('throughline.campaign.deliveries', { where: { outcome: 'refused' }, by: ['channel'] }),
          perSecond('throughline.campaign.deliveries', {
            where: { outcome: ['sent', 'refused'] },
            by: ['channel'],
          }),
        ),
        legend: '{{channel}}',
      },
    ],
  },
  {
    title: 'What do partners say of lost answers?',
    help: '`none`: they do not know yet, and are asked again.',
    as: 'lines',
    unit: 'per minute',
    lines: [
      {
        query: perMinute('throughline.campaign.questions', { by: ['channel', 'answer'] }),
        legend: '{{channel}} {{answer}}',
      },
    ],
  },
];

/** Notifications to many: how far they are, and whether everybody gets one, and one only. */
export const campaignsDashboard: Dashboard = {
  name: 'campaigns',
  title: 'Campaigns',
  about: 'How far are they, and what has become of whom?',
  variables: [],
  sections: [
    { title: 'Now, from PostgreSQL', panels: NOW },
    { title: 'Sending', panels: SENDING },
  ],
};
