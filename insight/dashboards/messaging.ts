import { type Dashboard, type Panel, variable } from './panel.ts';
import { both, perSecond, quantile, shareOf, stored, told, within } from './query.ts';

const JOB = { 'throughline.job.name': { variable: 'job' } } as const;
const SUBSCRIPTION = { 'messaging.destination.subscription.name': { variable: 'subscription' } } as const;
const HANDLED = { ...JOB, ...SUBSCRIPTION } as const;

const QUEUE: readonly Panel[] = [
  {
    title: 'How much waits to be sent?',
    help: 'Jobs in the outbox: `unsent` ones are due, `delayed` ones are not yet, `unfinished` ones were sent and nobody has finished them. `unsent` that grows: no relay runs, or Pub/Sub refuses.',
    as: 'lines',
    unit: 'count',
    lines: [
      { query: stored('throughline.outbox.unsent'), legend: 'unsent' },
      { query: stored('throughline.outbox.delayed'), legend: 'delayed' },
      { query: stored('throughline.outbox.unfinished'), legend: 'unfinished' },
    ],
  },
  {
    title: 'For how long has the oldest waited?',
    help: 'Of the jobs that are due and not sent. More than a minute: everything that a worker does for orders stands still.',
    as: 'lines',
    unit: 'seconds',
    limit: 60,
    alerts: ['OutboxStalled'],
    lines: [{ query: stored('throughline.outbox.oldest_unsent_age'), legend: 'oldest' }],
  },
  {
    title: 'What is sent, and where to?',
    help: 'Messages by topic, those that could not be sent with their error.',
    as: 'lines',
    unit: 'per second',
    lines: [
      {
        query: perSecond('messaging.client.sent.messages', {
          by: ['messaging.destination.name', 'error.type'],
        }),
        legend: '{{messaging_destination_name}} {{error_type}}',
      },
    ],
  },
  {
    title: 'How long does Pub/Sub take?',
    help: '95 of 100 requests at most so long, with their retries. Slow or failing pulls are counted below (errors of the source).',
    as: 'lines',
    unit: 'seconds',
    lines: [
      {
        query: quantile(0.95, 'messaging.client.operation.duration', {
          by: ['messaging.operation.name', 'messaging.destination.name'],
        }),
        legend: '{{messaging_operation_name}} {{messaging_destination_name}}',
      },
    ],
  },
];

const WORK: readonly Panel[] = [
  {
    title: 'Are the workers full?',
    help: 'Deliveries that are handled now, and how many may be, all workers together. Full while CPU is free: raise `maxInFlight`, or start more.',
    as: 'lines',
    unit: 'count',
    lines: [
      {
        query: told('sum', 'throughline.worker.running', {
          where: SUBSCRIPTION,
          by: ['messaging.destination.subscription.name'],
        }),
        legend: '{{messaging_destination_subscription_name}}: running',
      },
      {
        query: told('sum', 'throughline.worker.max_in_flight', {
          where: SUBSCRIPTION,
          by: ['messaging.destination.subscription.name'],
        }),
        legend: '{{messaging_destination_subscription_name}}: at most',
      },
    ],
  },
  {
    title: 'What becomes of deliveries?',
    help: 'By outcome. Nothing at all while jobs are unfinished: is a worker up, and can it pull?',
    as: 'stack',
    unit: 'per second',
    alerts: ['WorkerSilent'],
    lines: [
      {
        query: perSecond('messaging.client.consumed.messages', {
          where: HANDLED,
          by: ['throughline.job.outcome'],
        }),
        legend: '{{throughline_job_outcome}}',
      },
    ],
  },
  {
    title: 'Which job fails how often?',
    help: 'The share of runs in five minutes that are to be retried, or were given up. Handed back and paused ones are no failures.',
    as: 'lines',
    unit: 'share',
    limit: 0.1,
    alerts: ['ErrorRateUp'],
    lines: [
      {
        query: shareOf(
          within('5m', 'messaging.client.consumed.messages', {
            where: { ...HANDLED, 'throughline.job.outcome': ['retry', 'deadLetter'] },
            by: ['throughline.job.name'],
          }),
          within('5m', 'messaging.client.consumed.messages', {
            where: { ...HANDLED, 'throughline.job.outcome': ['done', 'retry', 'deadLetter'] },
            by: ['throughline.job.name'],
          }),
        ),
        legend: '{{throughline_job_name}}',
      },
    ],
  },
  {
    title: 'How long does a job run?',
    help: '95 of 100 deliveries at most so long.',
    as: 'lines',
    unit: 'seconds',
    lines: [
      {
        query: quantile(0.95, 'messaging.process.duration', { where: HANDLED, by: ['throughline.job.name'] }),
        legend: '{{throughline_job_name}}',
      },
    ],
  },
  {
    title: 'How many deliveries were for nothing?',
    help: 'Jobs that were done, dead or cancelled already: they did not run again. Many: is the acknowledgement deadline too short?',
    as: 'lines',
    unit: 'per second',
    lines: [
      {
        query: perSecond('throughline.inbox.duplicates', {
          where: JOB,
          by: ['throughline.job.name', 'state'],
        }),
        legend: '{{throughline_job_name}} {{state}}',
      },
    ],
  },
];

const DEAD: readonly Panel[] = [
  {
    title: 'How many dead letters has nobody dealt with?',
    help: 'From PostgreSQL, by topic: `throughline dead-letter list`, then redrive or drop them.',
    as: 'lines',
    unit: 'count',
    limit: 1,
    alerts: ['DeadLettersGrowing'],
    lines: [
      {
        query: stored('throughline.dead_letters.open', { by: ['messaging.destination.name'] }),
        legend: '{{messaging_destination_name}}',
      },
    ],
  },
  {
    title: 'Why are jobs given up?',
    help: 'By reason, from the workers that gave them up.',
    as: 'lines',
    unit: 'per second',
    lines: [
      {
        query: perSecond('throughline.dead_letters', { where: SUBSCRIPTION, by: ['error.type'] }),
        legend: '{{error_type}}',
      },
    ],
  },
  {
    title: 'What becomes of dead letters?',
    help: 'Stored, not to be stored (they come again), sent again, left dead, or too old.',
    as: 'lines',
    unit: 'per second',
    lines: [
      { query: perSecond('throughline.dead_letters.kept'), legend: 'kept' },
      { query: perSecond('throughline.dead_letters.unkept'), legend: 'not kept' },
      { query: perSecond('throughline.dead_letters.redriven'), legend: 'redriven' },
      { query: perSecond('throughline.dead_letters.dropped'), legend: 'dropped' },
      {
        query: perSecond('throughline.dead_letters.expired', { by: ['state'] }),
        legend: 'expired, {{state}}',
      },
    ],
  },
];

const CONTROL: readonly Panel[] = [
  {
    title: 'What do fences stop?',
    help: 'Fences in force, and deliveries that they keep from running: `throughline fence list`.',
    as: 'lines',
    unit: 'count',
    lines: [
      { query: stored('throughline.fences.standing', { by: ['action'] }), legend: 'in force: {{action}}' },
      {
        query: within('5m', 'throughline.fence.stopped', { where: JOB, by: ['action'] }),
        legend: 'stopped in 5 min: {{action}}',
      },
    ],
  },
  {
    title: 'What waits for a limit?',
    help: 'Deliveries that wait now, in all workers, and how many were put off: `throughline.limit.name` says for which.',
    as: 'lines',
    unit: 'count',
    lines: [
      {
        query: told('sum', 'throughline.limit.waiting', { by: ['throughline.limit.name'] }),
        legend: '{{throughline_limit_name}} now',
      },
      {
        query: within('5m', 'throughline.limit.waited', { where: JOB, by: ['throughline.limit.name'] }),
        legend: '{{throughline_limit_name}} in 5 min',
      },
    ],
  },
  {
    title: 'Do schedules fire?',
    help: 'In an hour, by schedule. Failed ticks are tried again, missed ones are not made up for: `throughline schedule list`.',
    as: 'lines',
    unit: 'count',
    lines: [
      {
        query: within('1h', 'throughline.schedule.fired', { by: ['throughline.schedule.name'] }),
        legend: '{{throughline_schedule_name}} fired',
      },
      {
        query: within('1h', 'throughline.schedule.left_out', { by: ['throughline.schedule.name'] }),
        legend: '{{throughline_schedule_name}} missed',
      },
      {
        query: within('1h', 'throughline.schedule.failed', { by: ['throughline.schedule.name'] }),
        legend: '{{throughline_schedule_name}} failed',
      },
    ],
  },
  {
    title: 'Does anything go wrong below the jobs?',
    help: 'Pulling or acknowledging failed and was tried again; trace contexts that could not be read, or had no room.',
    as: 'lines',
    unit: 'per second',
    lines: [
      {
        query: perSecond('throughline.source.errors', { where: SUBSCRIPTION, by: ['error.type'] }),
        legend: 'source: {{error_type}}',
      },
      {
        query: both(perSecond('throughline.context.malformed'), perSecond('throughline.context.dropped')),
        legend: 'trace contexts',
      },
    ],
  },
];

/** The way of a job: out of the outbox, over Pub/Sub, through a worker, or to the dead letters. */
export const messagingDashboard: Dashboard = {
  name: 'messaging',
  title: 'Messaging',
  about: 'Do jobs get to the workers, do they succeed there, and what is left over?',
  variables: [
    variable('subscription', 'Subscription', {
      metric: 'messaging.client.consumed.messages',
      of: 'messaging.destination.subscription.name',
    }),
    variable('job', 'Job', { metric: 'messaging.client.consumed.messages', of: 'throughline.job.name' }),
  ],
  sections: [
    { title: 'Outbox and Pub/Sub', panels: QUEUE },
    { title: 'Workers', panels: WORK },
    { title: 'Dead letters', panels: DEAD },
    { title: 'Fences, limits, schedules, errors', panels: CONTROL },
  ],
};
