import type { Publisher } from '../publisher/index.ts';
import { captureCarrier, done, inCompensationSpan } from '../shared/index.ts';
import type { JobDelivery, Worker } from '../subscriber/index.ts';
import { compensateOrder } from './compensate.ts';
import { reactivateCard, refundPayment, sendNotification, setUpWorkspace } from './contract.ts';
import type { Partners } from './partners/partner-client.ts';

export interface HandlerDependencies {
  readonly publisher: Publisher;
  readonly partners: Partners;
}

/** Registers what the worker does for orders. */
export function registerOrderHandlers(worker: Worker, { publisher, partners }: HandlerDependencies): void {
  worker.handle(
    setUpWorkspace,
    async ({ payload: { orderKey, domain, email }, jobId }, signal) => {
      await partners({
        partner: 'workspace',
        effect: 'set-up',
        orderKey,
        idempotencyKey: jobId,
        body: { domain },
        signal,
      });
      // An earlier attempt may have failed right here; nothing else of this order is being published meanwhile.
      publisher.resume(sendNotification, orderKey);
      const confirmed = { orderKey, email, template: 'order-confirmed' } as const;
      await publisher.publish(sendNotification, confirmed, { orderKey, jobId: `${orderKey}/confirmed` });
      return done();
    },
    {
      onDeadLetter: ({ payload }) => {
        const failedStep = payload.step ?? captureCarrier();
        return compensateOrder(publisher, { ...payload, failedStep });
      },
    },
  );
  worker.handle(refundPayment, compensation('settle-payment', 'payment', 'refund', partners));
  worker.handle(reactivateCard, compensation('redeem-card', 'card', 'reactivate', partners));
  worker.handle(sendNotification, async ({ payload: { orderKey, template }, jobId }, signal) => {
    await partners({ partner: 'mail', effect: template, orderKey, idempotencyKey: jobId, signal });
    return done();
  });
}

type CompensationPayload = {
  orderKey: string;
  undoes: Record<string, string>;
  failedStep: Record<string, string>;
};

function compensation(step: string, partner: 'card' | 'payment', effect: string, partners: Partners) {
  return ({ payload, jobId }: JobDelivery<CompensationPayload>, signal: AbortSignal) =>
    inCompensationSpan({ step, ...payload }, async () => {
      await partners({ partner, effect, orderKey: payload.orderKey, idempotencyKey: jobId, signal });
      return done();
    });
}
