import { type Answer, ok, problem } from './answer.ts';

/** From this amount on the bank wants to see the customer (3-D Secure), in minor units. */
const CHALLENGE_FROM_MINOR = 5_000;

export interface Payment {
  readonly paymentId: string;
  readonly amountMinor: number;
  readonly currency: string;
  readonly returnUrl: string;
  state: 'authorised' | 'requires-action' | 'declined' | 'voided';
}

export interface Payments {
  prepare(paymentId: string, body: Record<string, unknown>): Payment;
  /** Why a payment cannot be captured; undefined: it can. */
  refusal(paymentId: string): Answer | undefined;
  cancel(paymentId: string): void;
  /** The bank's page, where the customer approves or declines. */
  page(paymentId: string): Answer;
  decide(paymentId: string, decision: string | null): Answer;
}

/** Payments and the bank's 3-D Secure page. */
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
      };
      payments.set(paymentId, payment);
      return payment;
    },
    refusal(paymentId) {
      switch (payments.get(paymentId)?.state) {
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
    },
    cancel(paymentId) {
      const payment = payments.get(paymentId);
      if (payment) payment.state = 'voided';
    },
    page(paymentId) {
      const payment = payments.get(paymentId);
      if (!payment) return problem(404, 'there is no such payment');
      return { status: 200, body: pageOf(payment), headers: { 'content-type': 'text/html; charset=utf-8' } };
    },
    decide(paymentId, decision) {
      const payment = payments.get(paymentId);
      if (!payment) return problem(404, 'there is no such payment');
      if (decision !== 'approve' && decision !== 'decline')
        return problem(422, 'decision: expected approve or decline');
      const isVoided = payment.state === 'voided'; // the shop gave up; the customer is sent back all the same
      if (payment.state !== 'requires-action' && !isVoided)
        return problem(409, 'the customer has decided already');
      if (!isVoided) payment.state = decision === 'approve' ? 'authorised' : 'declined';
      const back = new URL(payment.returnUrl);
      back.searchParams.set('paymentId', paymentId);
      return { status: 303, body: ok({}).body, headers: { location: back.href } };
    },
  };
}

function pageOf({ paymentId, amountMinor, currency, state }: Payment): string {
  const amount = `${(amountMinor / 100).toFixed(2)} ${escapeHtml(currency)}`;
  const buttons =
    state === 'requires-action'
      ? '<button name="decision" value="approve">Approve</button> <button name="decision" value="decline">Decline</button>'
      : 'This payment has been decided.';
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>3-D Secure</title>
<h1>Your bank: ${amount}</h1>
<form method="post" action="/3ds/${encodeURIComponent(paymentId)}">${buttons}</form></html>`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
