import type { Answer } from './answer.ts';

/** A payment as the bank keeps it. */
export interface Payment {
  readonly paymentId: string;
  readonly amountMinor: number;
  readonly currency: string;
  readonly returnUrl: string;
  state: 'authorised' | 'requires-action' | 'declined' | 'voided';
  decision: 'approve' | 'decline' | undefined;
}

/** The bank's 3-D Secure page: a form with two buttons, no scripts. */
export function paymentPage(payment: Payment): Answer {
  return page(
    payment,
    `<form method="post" action="/3ds/${encodeURIComponent(payment.paymentId)}">
<button name="decision" value="approve">Approve</button>
<button name="decision" value="decline">Decline</button>
</form>`,
  );
}

/** What stands there when there is nothing left to decide. */
export function decidedPage(payment: Payment): Answer {
  return page(payment, '<p>This payment has been decided.</p>');
}

function page({ amountMinor, currency }: Payment, content: string): Answer {
  const amount = escapeHtml(`${(amountMinor / 100).toFixed(2)} ${currency}`);
  return {
    status: 200,
    body: `<!doctype html><html lang="en"><meta charset="utf-8"><title>3-D Secure</title>
<h1>Your bank: ${amount}</h1>
${content}</html>`,
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': "default-src 'none'",
      'cache-control': 'no-store',
    },
  };
}

/** For text and for attributes in double quotes. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
