import { trace } from '@opentelemetry/api';
import { z } from 'zod';
import type { Outbox } from '../publisher/index.ts';
import { defineSaga, skip, suspend } from '../publisher/saga/index.ts';
import { sendNotification, setUpWorkspace, tearDownWorkspace, workspaceSchema } from './contract.ts';
import { CURRENCY, orderKeySchema, orderSchema, totalsOf } from './order.ts';
import { inDoubt } from './partners/errors.ts';
import type { Partners } from './partners/partners.ts';
import { confirmOrder, createContract, deleteContract } from './storage/orders.ts';

export const THREE_D_SECURE = '3ds';

/** How long the worker's results are awaited, in ms. Jobs that a broker forgot are to be sent again well before. */
export const JOB_TIMEOUTS_MS = { 'set-up-workspace': 600_000, 'tear-down-workspace': 3_600_000 };

export interface OrderSagaDependencies {
  readonly partners: Partners;
  readonly outbox: Outbox;
  /** Where the bank's page sends the customer back to; always the same for a saga. */
  readonly returnUrl: (orderKey: string, sagaId: string) => string;
  /** How long the customer may take at the bank's page, in ms. Default 900_000. */
  readonly threeDSecureTimeoutMs?: number | undefined;
}

const sagaInput = orderSchema.extend({ orderKey: orderKeySchema });

/** What the customer is shown while the saga waits. */
export const challengeSchema = z.object({ paymentId: z.string(), challengeUrl: z.url() });

/** An order for a Google Workspace card: eight steps, each with what undoes it. */
export function createOrderSaga({
  partners,
  outbox,
  returnUrl,
  threeDSecureTimeoutMs = 900_000,
}: OrderSagaDependencies) {
  const { account, card, payment, registrar } = partners;
  return defineSaga({ name: 'workspace-card-order', version: 1, input: sagaInput })
    .step('verify-account', {
      run: ({ input: { email }, ...call }) => account.verify({ email }, callOf(call)),
      compensate: skip('looking at an account changes nothing'),
    })
    .step('redeem-card', {
      run: ({ input: { cardCode }, ...call }) => card.redeem({ cardCode }, callOf(call)),
      compensate: async ({ undoes, ...call }) => {
        await card.reactivate({ undoes }, callOf(call));
      },
    })
    .transaction('create-contract', {
      transaction: (tx, { input, results, sagaId }) =>
        createContract(tx, { sagaId, order: input, accountId: results['verify-account'].accountId }),
      compensate: { transaction: (tx, { sagaId }) => deleteContract(tx, sagaId) },
    })
    .step('settle-payment', {
      run: async ({ input, sagaId, ...call }) => {
        const { amountMinor } = describeAmount(totalsOf(input));
        const request = { amountMinor, currency: CURRENCY, returnUrl: returnUrl(input.orderKey, sagaId) };
        const prepared = await payment.prepare(request, callOf(call));
        const { paymentId } = prepared;
        if (prepared.status === 'requires-action') {
          const data = { paymentId, challengeUrl: prepared.challengeUrl };
          return suspend(THREE_D_SECURE, { timeoutMs: threeDSecureTimeoutMs, data });
        }
        return { paymentId, ...(await payment.capture({ paymentId }, callOf(call)).catch(leavesPrepared)) };
      },
      signal: {
        name: THREE_D_SECURE,
        payload: z.strictObject({}),
        // What the browser brought back proves nothing: the bank is asked, and refuses what the customer declined.
        resume: async ({ input, ...call }, _, { paymentId }) => {
          describeAmount(totalsOf(input));
          return { paymentId, ...(await payment.capture({ paymentId }, callOf(call))) };
        },
      },
      compensate: async ({ undoes, ...call }) => {
        await payment.refund({ undoes }, callOf(call));
      },
    })
    .step('register-credit-card', {
      run: ({ results, ...call }) =>
        payment.registerCard({ paymentId: results['settle-payment'].paymentId }, callOf(call)),
      compensate: skip('a registered card need not be removed'),
    })
    .step('acquire-domain', {
      run: ({ input: { domain }, ...call }) => registrar.acquire({ domain }, callOf(call)),
      compensate: skip('a domain once acquired stays acquired'),
    })
    .job('set-up-workspace', {
      job: setUpWorkspace,
      payload: ({ input: { orderKey, domain, email } }) => ({ orderKey, domain, email }),
      result: workspaceSchema,
      timeoutMs: JOB_TIMEOUTS_MS['set-up-workspace'],
      compensate: {
        job: tearDownWorkspace,
        payload: ({ input: { orderKey }, undoes }) => ({ orderKey, undoes }),
        timeoutMs: JOB_TIMEOUTS_MS['tear-down-workspace'],
      },
    })
    .transaction('confirm-order', {
      transaction: async (tx, { input: { orderKey, email }, sagaId }) => {
        await confirmOrder(tx, orderKey);
        // An order succeeds even when mail is down: the mail is a job of its own, which nobody waits for.
        const mail = { orderKey, email, template: 'order-confirmed' } as const;
        await outbox.enqueue(tx, sendNotification, mail, { orderKey, jobId: `${sagaId}/notification` });
      },
      compensate: skip('nothing comes after it that could fail'),
    })
    .build();
}

export type OrderSaga = ReturnType<typeof createOrderSaga>;

interface CallFacts {
  readonly orderKey: string | undefined;
  readonly sagaId?: string;
  readonly idempotencyKey: string;
  readonly signal: AbortSignal;
}

function callOf({ orderKey = '', idempotencyKey, signal }: CallFacts) {
  return { orderKey, idempotencyKey, signal };
}

/** Whatever hindered the capture, the payment was prepared before it, and is to be voided. */
function leavesPrepared(error: unknown): never {
  throw inDoubt(error);
}

function describeAmount<Totals extends { amountMinor: number; itemsCount: number }>(totals: Totals): Totals {
  const { amountMinor, itemsCount } = totals;
  trace.getActiveSpan()?.setAttributes({
    'order.amount_minor': amountMinor,
    'order.currency': CURRENCY,
    'order.items_count': itemsCount,
  });
  return totals;
}
