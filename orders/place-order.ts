import { context } from '@opentelemetry/api';
import type { Publisher } from '../publisher/index.ts';
import { type Carrier, captureCarrier, inSpan, withOrderKey } from '../shared/index.ts';
import { SAGA_STEP } from '../shared/trace/semconv.ts';
import { compensateOrder } from './compensate.ts';
import { type CompensableStep, type CompletedStep, setUpWorkspace } from './contract.ts';
import type { Order } from './order.ts';
import type { Partners } from './partners/partner-client.ts';

export interface OrderDependencies {
  readonly publisher: Publisher;
  readonly partners: Partners;
}

/**
 * Places an order: redeems the card and settles the payment here, and hands the set-up to the worker as a job.
 *
 * When a step fails, what happened before it is compensated by jobs, and the failure is thrown.
 */
export function placeOrder(order: Order, dependencies: OrderDependencies): Promise<void> {
  const parent = withOrderKey(context.active(), order.orderKey);
  return inSpan('place order', { parent }, () => runSteps(order, dependencies));
}

const LOCAL_STEPS = [
  { step: 'redeem-card', partner: 'card', effect: 'redeem' },
  { step: 'settle-payment', partner: 'payment', effect: 'settle' },
] as const;

async function runSteps(order: Order, { publisher, partners }: OrderDependencies): Promise<void> {
  const { orderKey, email, domain } = order;
  const completed: CompletedStep[] = [];
  for (const { step, partner, effect } of LOCAL_STEPS) {
    let span: Carrier = {};
    try {
      await inStep(step, async (self) => {
        span = self;
        await partners({ partner, effect, orderKey, idempotencyKey: `${orderKey}/${step}` });
      });
    } catch (error) {
      await compensateOrder(publisher, { orderKey, email, completed, failedStep: span });
      throw error;
    }
    completed.push({ step, span });
  }
  let span: Carrier = {};
  try {
    await inStep('set-up-workspace', async (self) => {
      span = self;
      const payload = { orderKey, domain, email, step: self, completed };
      await publisher.publish(setUpWorkspace, payload, { orderKey, jobId: `${orderKey}/set-up` });
    });
  } catch (error) {
    await compensateOrder(publisher, { orderKey, email, completed, failedStep: span });
    throw error;
  }
}

/** Runs a step in its span and tells it that span's carrier. */
function inStep(
  step: CompensableStep | 'set-up-workspace',
  run: (self: Carrier) => Promise<void>,
): Promise<void> {
  return inSpan(`step ${step}`, { attributes: { [SAGA_STEP]: step } }, () => run(captureCarrier()));
}
