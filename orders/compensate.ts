import type { Publisher } from '../publisher/index.ts';
import type { Carrier } from '../shared/index.ts';
import { COMPENSATIONS, type CompletedStep, sendNotification } from './contract.ts';

export interface FailedOrder {
  readonly orderKey: string;
  readonly email: string;
  readonly completed: readonly CompletedStep[];
  /** The span of the step that failed. */
  readonly failedStep: Carrier;
}

/**
 * Publishes what undoes an order's completed steps, last step first, and the mail that says so.
 *
 * Pub/Sub keeps them in this order, because they share the order's ordering key. Job ids follow from the order key: a
 * repeated call publishes the same jobs again, not new ones.
 */
export async function compensateOrder(publisher: Publisher, order: FailedOrder): Promise<void> {
  const { orderKey, email, failedStep } = order;
  // What failed may have been a publish with this key: nothing of the order is to come but what follows here.
  publisher.resume(sendNotification, orderKey);
  const jobs = order.completed.toReversed().map(({ step, span }) => {
    const payload = { orderKey, undoes: span, failedStep };
    return publisher.publish(COMPENSATIONS[step], payload, {
      orderKey,
      jobId: `${orderKey}/compensate/${step}`,
    });
  });
  const cancelled = { orderKey, email, template: 'order-cancelled' } as const;
  jobs.push(publisher.publish(sendNotification, cancelled, { orderKey, jobId: `${orderKey}/cancelled` }));
  await Promise.all(jobs);
}
