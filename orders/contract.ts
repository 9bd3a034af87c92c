import { z } from 'zod';
import { type Carrier, carrierSchema, defineJob, type Job, jobTopology } from '../shared/index.ts';

/** What the order service and the worker agree on: the jobs of an order, and where they travel. */
export const JOBS_TOPIC = 'workspace-jobs';
export const JOBS_SUBSCRIPTION = 'workspace-jobs-worker';
export const DEAD_LETTER_TOPIC = 'workspace-jobs-dead-letters';

export const topology = jobTopology({
  topic: JOBS_TOPIC,
  subscription: JOBS_SUBSCRIPTION,
  deadLetterTopic: DEAD_LETTER_TOPIC,
  ordered: true,
});

/** An order's jobs run one after another: its compensations in the order in which they were published. */
const perOrder = {
  topic: JOBS_TOPIC,
  orderingKey: (_payload: unknown, orderKey: string | undefined) => orderKey,
};

/** A step that has happened, with its span: what a later compensation is linked to. */
export interface CompletedStep {
  readonly step: CompensableStep;
  readonly span: Carrier;
}

export type CompensableStep = z.infer<typeof compensableStep>;
const compensableStep = z.enum(['redeem-card', 'settle-payment']);
const completedStep: z.ZodType<CompletedStep> = z.object({ step: compensableStep, span: carrierSchema });

const orderKey = z.string().min(1).max(128);

export const setUpWorkspace = defineJob({
  name: 'workspace.set-up',
  version: 1,
  payload: z.strictObject({
    orderKey,
    domain: z.hostname(),
    email: z.email(),
    /** The `step set-up-workspace` span: if the job fails for good, this is the step that failed. */
    step: carrierSchema.optional(),
    completed: z.array(completedStep).default([]),
  }),
  retry: { maxAttempts: 3, minBackoffMs: 200, maxBackoffMs: 5_000 },
  timeoutMs: 10_000,
  ...perOrder,
});

const compensation = z.strictObject({
  orderKey,
  /** The span of the step that is undone. */
  undoes: carrierSchema,
  failedStep: carrierSchema,
});

export const refundPayment = defineJob({
  name: 'payment.refund',
  version: 1,
  payload: compensation,
  retry: { maxAttempts: 8, minBackoffMs: 500, maxBackoffMs: 60_000 },
  ...perOrder,
});

export const reactivateCard = defineJob({
  name: 'card.reactivate',
  version: 1,
  payload: compensation,
  retry: { maxAttempts: 8, minBackoffMs: 500, maxBackoffMs: 60_000 },
  ...perOrder,
});

export const sendNotification = defineJob({
  name: 'notification.send',
  version: 1,
  payload: z.strictObject({
    orderKey,
    email: z.email(),
    template: z.enum(['order-confirmed', 'order-cancelled']),
  }),
  ...perOrder,
});

export const JOBS: readonly Job[] = [setUpWorkspace, refundPayment, reactivateCard, sendNotification];

/** What undoes each step. */
export const COMPENSATIONS = { 'redeem-card': reactivateCard, 'settle-payment': refundPayment } as const;
