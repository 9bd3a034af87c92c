import { type Answer, invalid, ok, problem } from './answer.ts';
import { decidedPage, type Payment, paymentPage } from './payment-page.ts';

/** From this amount on the bank wants to see the customer (3-D Secure), in minor units. */
export const CHALLENGE_FROM_MINOR = 5_000;

export interface Payments {
  prepare(paymentId: string, body: Record<string, unknown>): Payment;
  /** Why a payment cannot be captured, nor its card be registered; undefined: it can. */
  refusal(paymentId: string): Answer | undefined;
  cancel(paymentId: string): void;
  /** The bank's page, where the customer approves or declines. */
  page(paymentId: string): Answer;
  /** What the customer pressed. It can be decided once; the same button pressed again leads back again. */
  decide(paymentId: string, decision: string | null): Answer;
}

/** Payments and what the customer decides about them at the bank. */
export function createPayments(): Payments {
  const payments = new Map<string, Payment>();
  return {
    prepare(paymentId, body) {
      const amountMinor = Number(body['amountMinor']);
      const payment: Payment = {
        paymentId,
        amountMinor,
        currency: String(body['currency']),
        returnUrl: String(body['returnUrl']),
        state: amountMinor >= CHALLENGE_FROM_MINOR ? 'requires-action' : 'authorised',
        decision: undefined,
      };
      payments.set(paymentId, payment);
      return payment;
    },
    refusal: (paymentId) => refusalOf(paymentId, payments.get(paymentId)),
    cancel(paymentId) {
      const payment = payments.get(paymentId);
      if (payment) payment.state = 'voided';
    },
    page(paymentId) {
      const payment = payments.get(paymentId);
      if (!payment) return problem(404, 'there is no such payment');
      return payment.state === 'requires-action' ? paymentPage(payment) : decidedPage(payment);
    },
    decide(paymentId, decision) {
      const payment = payments.get(paymentId);
      if (!payment) return problem(404, 'there is no such payment');
      if (decision !== 'approve' && decision !== 'decline')
        return invalid(422, [{ field: 'decision', detail: 'expected approve or decline' }]);
      return decide(payment, decision);
    },
  };
}

function refusalOf(paymentId: string, payment: Payment | undefined): Answer | undefined {
  switch (payment?.state) {
    case 'authorised':
      return undefined;
    case 'declined':
      return problem(402, 'the customer declined the payment');
    case 'requires-action':
      return problem(409, 'the customer has not approved the payment yet');
    case 'voided':
      return problem(409, 'the payment was voided');
    default:
      return problem(404, `paymentId: there is no payment ${paymentId}`);
  }
}

function decide(payment: Payment, decision: 'approve' | 'decline'): Answer {
  if (payment.state === 'requires-action') {
    payment.state = decision === 'approve' ? 'authorised' : 'declined';
    payment.decision = decision;
  }
  // Whoever presses twice, or after the shop gave up, is sent back all the same, and nothing changes.
  else if (payment.state !== 'voided' && payment.decision !== decision)
    return problem(409, 'the customer has decided already');
  const back = new URL(payment.returnUrl);
  back.searchParams.set('paymentId', payment.paymentId);
  return { ...ok({}), status: 303, headers: { location: back.href } };
}
