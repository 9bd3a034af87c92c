import type { Objective } from '../shared/objective.ts';

const SAGA = { 'saga.name': 'workspace-card-order' };
const SET_UP = { ...SAGA, 'saga.step': 'set-up-workspace' };
const MAIL = { 'throughline.job.name': 'notification.send' };

/** What the shop promises. Rules, alerts and `throughline slo report` follow from it (`node scripts/objectives.ts`). */
export const OBJECTIVES: readonly Objective[] = [
  {
    name: 'orders-ended-cleanly',
    meaning: 'orders that end are confirmed, or everything that they had done is undone',
    target: 0.999,
    good: {
      counter: 'throughline.sagas.ended',
      where: { ...SAGA, 'saga.outcome': ['confirmed', 'compensated'] },
    },
    total: {
      counter: 'throughline.sagas.ended',
      where: { ...SAGA, 'saga.outcome': ['confirmed', 'compensated', 'stuck', 'resolved'] },
    },
  },
  {
    name: 'order-latency',
    meaning: "orders are confirmed within a minute, the customer's own time at the bank not counted",
    target: 0.99,
    good: {
      histogram: 'throughline.saga.duration',
      where: { ...SAGA, 'saga.outcome': 'confirmed' },
      withinSeconds: 60,
    },
    total: { histogram: 'throughline.saga.duration', where: { ...SAGA, 'saga.outcome': 'confirmed' } },
  },
  {
    name: 'set-up-freshness',
    meaning: 'a workspace is set up within a minute of being asked for',
    target: 0.99,
    good: {
      histogram: 'throughline.saga.step.duration',
      where: { ...SET_UP, outcome: 'completed' },
      withinSeconds: 60,
    },
    total: {
      histogram: 'throughline.saga.step.duration',
      where: { ...SET_UP, outcome: ['completed', 'failed'] },
    },
  },
  {
    name: 'notification-success',
    meaning: 'mails to customers are handed over, and not given up',
    target: 0.995,
    good: {
      counter: 'messaging.client.consumed.messages',
      where: { ...MAIL, 'throughline.job.outcome': 'done' },
    },
    total: {
      counter: 'messaging.client.consumed.messages',
      where: { ...MAIL, 'throughline.job.outcome': ['done', 'deadLetter'] },
    },
  },
];
