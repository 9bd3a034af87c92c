import type { Objective } from '../../shared/objective.ts';
import { type Dashboard, type Panel, variable } from './panel.ts';
import { burnSpeed, inRange, perMinute, perSecond, quantile, shareOf, stored } from './query.ts';

const SAGA = { 'saga.name': { variable: 'saga' } } as const;
/** An answer that goes on until the order has ended would hide how fast the others are. */
const ANSWERED = { 'http.route': { not: '/orders/:orderKey/events' } } as const;
const FAILED_REQUESTS = { 'http.response.status_code': ['5..'] } as const;

/** What a customer notices: whether orders end well, how long they take, and how the service answers. */
export function ordersDashboard(objectives: readonly Objective[]): Dashboard {
  return {
    name: 'orders',
    title: 'Orders',
    about: 'Do customers get what they ordered, and in time?',
    variables: [variable('saga', 'Saga', { metric: 'throughline.sagas.started', of: 'saga.name' })],
    sections: [
      { title: 'In the time shown', panels: SUMS },
      { title: 'How they end', panels: [...ENDS, budget(objectives)] },
      { title: 'The order service', panels: REQUESTS },
    ],
  };
}

const ended = { ...SAGA, 'saga.outcome': ['confirmed', 'compensated', 'resolved', 'stuck'] } as const;

const SUMS: readonly Panel[] = [
  {
    title: 'How many orders were placed?',
    help: 'Sagas that began. None at a time when there should be some: see how requests are answered, below.',
    as: 'number',
    unit: 'count',
    lines: [{ query: inRange('throughline.sagas.started', { where: SAGA }), legend: 'placed' }],
  },
  {
    title: 'Which share was confirmed?',
    help: 'Of those that ended or got stuck. A bank that refuses a customer is among the others: see which step fails.',
    as: 'number',
    unit: 'share',
    lines: [
      {
        query: shareOf(
          inRange('throughline.sagas.ended', { where: { ...SAGA, 'saga.outcome': 'confirmed' } }),
          inRange('throughline.sagas.ended', { where: ended }),
        ),
        legend: 'confirmed',
      },
    ],
  },
  {
    title: 'How many failed, and are undone?',
    help: 'A step failed for good. `throughline saga list` names them.',
    as: 'number',
    unit: 'count',
    lines: [{ query: inRange('throughline.sagas.failed', { where: SAGA }), legend: 'failed' }],
  },
  {
    title: 'How many wait for an operator now?',
    help: 'A compensation failed: a customer may have paid for nothing. `throughline saga list --state stuck`, then retry, skip or resolve.',
    as: 'number',
    unit: 'count',
    limit: 1,
    alerts: ['CompensationFailed'],
    lines: [{ query: stored('throughline.sagas.stuck', { where: SAGA }), legend: 'stuck' }],
  },
];

const ENDS: readonly Panel[] = [
  {
    title: 'How do orders end?',
    help: 'Sagas that ended, or got stuck, by outcome.',
    as: 'stack',
    unit: 'per minute',
    lines: [
      {
        query: perMinute('throughline.sagas.ended', { where: SAGA, by: ['saga.outcome'] }),
        legend: '{{saga_outcome}}',
      },
    ],
  },
  {
    title: 'Which step do orders fail at?',
    help: 'Sagas that failed, by the step that did. What they had done is being undone; the runbook of each step says whom to ask.',
    as: 'stack',
    unit: 'per minute',
    alerts: ['SagaFailed', 'CardStepFailing', 'DomainStepFailing', 'WorkspaceSetUpFailing'],
    lines: [
      {
        query: perMinute('throughline.sagas.failed', { where: SAGA, by: ['saga.failed_step'] }),
        legend: '{{saga_failed_step}}',
      },
    ],
  },
  {
    title: 'How long does an order take?',
    help: "Of confirmed orders, without the customer's own time at the bank. Long: see which step takes so long (Sagas), and whether jobs wait (Messaging).",
    as: 'lines',
    unit: 'seconds',
    limit: 60,
    lines: [0.5, 0.95, 0.99].map((share) => ({
      query: quantile(share, 'throughline.saga.duration', {
        where: { ...SAGA, 'saga.outcome': 'confirmed' },
      }),
      legend: `p${share * 100}`,
    })),
  },
];

function budget(objectives: readonly Objective[]): Panel {
  return {
    title: 'How fast are error budgets used up?',
    help: "Over an hour, in multiples of the speed that would use an objective's budget up in its 30 days. From 14.4 on somebody is woken. `throughline slo report` says what is left.",
    as: 'lines',
    unit: 'times',
    limit: 14.4,
    alerts: ['ErrorBudgetBurning'],
    lines: objectives.map((objective) => ({ query: burnSpeed(objective, '1h'), legend: objective.name })),
  };
}

const REQUESTS: readonly Panel[] = [
  {
    title: 'What is asked for?',
    help: 'Requests, by route and status. Those without a route are what nobody offers.',
    as: 'lines',
    unit: 'per second',
    lines: [
      {
        query: perSecond('http.server.request.duration', {
          by: ['http.request.method', 'http.route', 'http.response.status_code'],
        }),
        legend: '{{http_request_method}} {{http_route}} {{http_response_status_code}}',
      },
    ],
  },
  {
    title: 'How fast is it answered?',
    help: '95 of 100 requests at most so long, by route. The stream of events is left out: it lasts as long as the order does.',
    as: 'lines',
    unit: 'seconds',
    lines: [
      {
        query: quantile(0.95, 'http.server.request.duration', { where: ANSWERED, by: ['http.route'] }),
        legend: '{{http_route}}',
      },
    ],
  },
  {
    title: 'Which share of answers is an error of ours?',
    help: 'Status 5xx. See database errors (Runtime) first: while PostgreSQL is away, no order is taken.',
    as: 'lines',
    unit: 'share',
    lines: [
      {
        query: shareOf(
          perSecond('http.server.request.duration', { where: FAILED_REQUESTS }),
          perSecond('http.server.request.duration'),
        ),
        legend: '5xx',
      },
    ],
  },
];
