import { type Dashboard, type Panel, variable } from './panel.ts';
import { perMinute, perSecond, quantile, shareOf, within } from './query.ts';

const PARTNER = { partner: { variable: 'partner' } } as const;
const OURS = ['done', 'refused'] as const;

const CALLS: readonly Panel[] = [
  {
    title: 'What comes of calls?',
    help: 'By partner and outcome, a call with all its attempts. `refused` is an answer; the others are not.',
    as: 'lines',
    unit: 'per second',
    lines: [
      {
        query: perSecond('throughline.partner.calls', { where: PARTNER, by: ['partner', 'outcome'] }),
        legend: '{{partner}} {{outcome}}',
      },
    ],
  },
  {
    title: 'Who does not answer?',
    help: 'Calls in five minutes that got no answer, or were not made because nobody had answered before. Its orders fail, or wait.',
    as: 'lines',
    unit: 'count',
    limit: 1,
    alerts: ['PartnerUnreachable'],
    lines: [
      {
        query: within('5m', 'throughline.partner.calls', {
          where: { ...PARTNER, outcome: ['no-answer', 'circuit-open'] },
          by: ['partner', 'outcome'],
        }),
        legend: '{{partner}} {{outcome}}',
      },
    ],
  },
  {
    title: 'Who says that we ask too often?',
    help: 'Answers 429 in ten minutes: calls that gave up because of them, and attempts that waited and went on. Ask less, or for a higher quota.',
    as: 'lines',
    unit: 'count',
    limit: 5,
    alerts: ['RateLimited'],
    lines: [
      {
        query: within('10m', 'throughline.partner.calls', {
          where: { ...PARTNER, outcome: 'rate-limit' },
          by: ['partner'],
        }),
        legend: '{{partner}} gave up',
      },
      {
        query: within('10m', 'throughline.partner.retries', {
          where: { ...PARTNER, reason: 'rate-limit' },
          by: ['partner'],
        }),
        legend: '{{partner}} waited',
      },
    ],
  },
  {
    title: 'Why are attempts repeated?',
    help: 'Attempts within a call that failed and were followed by another.',
    as: 'lines',
    unit: 'per minute',
    lines: [
      {
        query: perMinute('throughline.partner.retries', { where: PARTNER, by: ['partner', 'reason'] }),
        legend: '{{partner}} {{reason}}',
      },
    ],
  },
];

const SPEED: readonly Panel[] = [
  {
    title: 'How long does a call take?',
    help: '95 of 100 calls at most so long, with their attempts and the pauses between them.',
    as: 'lines',
    unit: 'seconds',
    lines: [
      {
        query: quantile(0.95, 'throughline.partner.call.duration', {
          where: PARTNER,
          by: ['partner', 'effect'],
        }),
        legend: '{{partner}} {{effect}}',
      },
    ],
  },
  {
    title: 'How long does an answer take?',
    help: '95 of 100 requests by `fetch` at most so long, each attempt for itself, by host. Much less than a call: it is the pauses.',
    as: 'lines',
    unit: 'seconds',
    lines: [
      {
        query: quantile(0.95, 'http.client.request.duration', { by: ['server.address', 'server.port'] }),
        legend: '{{server_address}}:{{server_port}}',
      },
    ],
  },
  {
    title: 'What do they answer?',
    help: 'Requests by `fetch`, by status; without one where there was no answer, but an error.',
    as: 'lines',
    unit: 'per second',
    lines: [
      {
        query: perSecond('http.client.request.duration', { by: ['http.response.status_code', 'error.type'] }),
        legend: '{{http_response_status_code}} {{error_type}}',
      },
    ],
  },
];

const PAYMENTS: readonly Panel[] = [
  {
    title: 'Can payments be prepared?',
    help: 'Preparations in ten minutes that failed: customers do not get to the page of their bank.',
    as: 'lines',
    unit: 'count',
    limit: 1,
    alerts: ['PaymentPreparationFailing'],
    lines: [
      {
        query: within('10m', 'throughline.partner.calls', {
          where: { partner: 'payment', effect: 'prepare', outcome: { not: ['done', 'aborted'] } },
          by: ['outcome'],
        }),
        legend: '{{outcome}}',
      },
    ],
  },
  {
    title: 'Can payments be taken?',
    help: 'Captures in ten minutes that failed. Those that a bank refused are no failure, unless they are most: see beside.',
    as: 'lines',
    unit: 'count',
    limit: 1,
    alerts: ['PaymentFailing'],
    lines: [
      {
        query: within('10m', 'throughline.partner.calls', {
          where: { partner: 'payment', effect: 'capture', outcome: { not: [...OURS, 'aborted'] } },
          by: ['outcome'],
        }),
        legend: '{{outcome}}',
      },
    ],
  },
  {
    title: 'Which share do banks refuse?',
    help: 'Of captures in half an hour that were answered. More than half, and at least five: it is not the customers.',
    as: 'lines',
    unit: 'share',
    limit: 0.5,
    alerts: ['PaymentFailing'],
    lines: [
      {
        query: shareOf(
          within('30m', 'throughline.partner.calls', {
            where: { partner: 'payment', effect: 'capture', outcome: 'refused' },
          }),
          within('30m', 'throughline.partner.calls', {
            where: { partner: 'payment', effect: 'capture', outcome: OURS },
          }),
        ),
        legend: 'refused',
      },
    ],
  },
];

/** Whom an order depends on outside of this house: who is slow, away, or wants to be asked less. */
export const partnersDashboard: Dashboard = {
  name: 'partners',
  title: 'Partners',
  about: 'Do they answer, how fast, and what do they say?',
  variables: [variable('partner', 'Partner', { metric: 'throughline.partner.calls', of: 'partner' })],
  sections: [
    { title: 'Calls', panels: CALLS },
    { title: 'Speed', panels: SPEED },
    { title: 'Payments', panels: PAYMENTS },
  ],
};
