import { type Dashboard, type Panel, variable } from './panel.ts';
import { perMinute, quantile, stored } from './query.ts';

const SAGA = { 'saga.name': { variable: 'saga' } } as const;

const NOW: readonly Panel[] = [
  {
    title: 'How many sagas are under way?',
    help: 'From PostgreSQL, by state. Those that wait do so for a customer or a worker; a crowd that runs and does not shrink has no process to go on with it.',
    as: 'stack',
    unit: 'count',
    lines: [
      {
        query: stored('throughline.sagas.open', { where: SAGA, by: ['saga.name', 'state'] }),
        legend: '{{saga_name}} {{state}}',
      },
    ],
  },
  {
    title: 'Which compensations failed?',
    help: 'Sagas that are stuck, by the step that could not be undone. They wait for you: `throughline saga show`, then retry, skip or resolve.',
    as: 'lines',
    unit: 'count',
    limit: 1,
    alerts: ['CompensationFailed'],
    lines: [
      {
        query: stored('throughline.sagas.stuck', { where: SAGA, by: ['saga.name', 'saga.step'] }),
        legend: '{{saga_name}} {{saga_step}}',
      },
    ],
  },
  {
    title: 'How much is still to be undone?',
    help: 'Sagas with compensations that are not done, stuck ones among them, by the step that is next.',
    as: 'stack',
    unit: 'count',
    lines: [
      {
        query: stored('throughline.compensations.unresolved', {
          where: SAGA,
          by: ['saga.name', 'saga.step'],
        }),
        legend: '{{saga_name}} {{saga_step}}',
      },
    ],
  },
  {
    title: 'For how long has it waited to be undone?',
    help: 'The oldest saga with something to undo. After half an hour somebody should look: is it the partner, the worker, or is it stuck?',
    as: 'lines',
    unit: 'seconds',
    limit: 1_800,
    alerts: ['CompensationUnfinished'],
    lines: [
      {
        query: stored('throughline.compensations.oldest_unresolved_age', { where: SAGA, by: ['saga.name'] }),
        legend: '{{saga_name}}',
      },
    ],
  },
];

const STEPS: readonly Panel[] = [
  {
    title: 'Which step takes how long?',
    help: "95 of 100 attempts at most so long, without a customer's time; a job's from its dispatch to its result. The slow one: its partner (Partners), or its queue (Messaging).",
    as: 'lines',
    unit: 'seconds',
    lines: [
      {
        query: quantile(0.95, 'throughline.saga.step.duration', { where: SAGA, by: ['saga.step'] }),
        legend: '{{saga_step}}',
      },
    ],
  },
  {
    title: 'Which steps are tried again, or fail?',
    help: 'Attempts that did not succeed: `retried` ones come again, `failed` ones end the order.',
    as: 'lines',
    unit: 'per minute',
    alerts: ['SagaFailed'],
    lines: [
      {
        query: perMinute('throughline.saga.step.duration', {
          where: { ...SAGA, outcome: ['retried', 'failed'] },
          by: ['saga.step', 'outcome'],
        }),
        legend: '{{saga_step}} {{outcome}}',
      },
    ],
  },
  {
    title: 'How long are sagas suspended, and for whom?',
    help: 'The median: for a signal (the customer at the bank), or for a worker. A worker that takes long: Messaging.',
    as: 'lines',
    unit: 'seconds',
    lines: [
      {
        query: quantile(0.5, 'throughline.saga.wait.duration', {
          where: SAGA,
          by: ['saga.step', 'waits_for'],
        }),
        legend: '{{saga_step}} for a {{waits_for}}',
      },
    ],
  },
];

const COMPENSATIONS: readonly Panel[] = [
  {
    title: 'What is being undone, and does it succeed?',
    help: 'Attempts of compensations, by what came of them. `failed`: the saga is stuck.',
    as: 'lines',
    unit: 'per minute',
    alerts: ['CompensationFailed'],
    lines: [
      {
        query: perMinute('throughline.saga.compensation.duration', {
          where: SAGA,
          by: ['saga.step', 'outcome'],
        }),
        legend: '{{saga_step}} {{outcome}}',
      },
    ],
  },
  {
    title: 'Which compensation takes how long?',
    help: '95 of 100 attempts at most so long.',
    as: 'lines',
    unit: 'seconds',
    lines: [
      {
        query: quantile(0.95, 'throughline.saga.compensation.duration', { where: SAGA, by: ['saga.step'] }),
        legend: '{{saga_step}}',
      },
    ],
  },
  {
    title: 'Do processes die, or not know how to go on?',
    help: 'Sagas that were taken over from a process that died, and sagas that were put aside (their `error.type` says why): `throughline saga list --parked`.',
    as: 'lines',
    unit: 'per minute',
    lines: [
      { query: perMinute('throughline.sagas.taken_over', { where: SAGA }), legend: 'taken over' },
      {
        query: perMinute('throughline.sagas.parked', { where: SAGA, by: ['error.type'] }),
        legend: 'put aside: {{error_type}}',
      },
    ],
  },
];

/** Where sagas are, which of their steps are slow or fail, and what is not undone yet. */
export const sagasDashboard: Dashboard = {
  name: 'sagas',
  title: 'Sagas',
  about: 'Where are they, which step is slow or fails, and is everything undone that has to be?',
  variables: [variable('saga', 'Saga', { metric: 'throughline.sagas.started', of: 'saga.name' })],
  sections: [
    { title: 'Now, from PostgreSQL', panels: NOW },
    { title: 'Steps', panels: STEPS },
    { title: 'Compensations', panels: COMPENSATIONS },
  ],
};
