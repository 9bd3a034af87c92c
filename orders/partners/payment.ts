import { z } from 'zod';
import type { Ask, PartnerCall } from './partner-client.ts';
import { type Undone, undone } from './undone.ts';

const prepared = z.discriminatedUnion('status', [
  z.object({ status: z.literal('authorised'), paymentId: z.string().min(1) }),
  z.object({ status: z.literal('requires-action'), paymentId: z.string().min(1), challengeUrl: z.url() }),
]);
const captured = z.object({ captureId: z.string().min(1) });
const registered = z.object({ cardToken: z.string().min(1) });

export interface PaymentRequest {
  readonly amountMinor: number;
  readonly currency: string;
  /** Where the bank's page sends the customer back to. */
  readonly returnUrl: string;
}

export interface PaymentPartner {
  prepare(request: PaymentRequest, call: PartnerCall): Promise<z.output<typeof prepared>>;
  /** Errors: PartnerRefusedError with status 402 when the customer declined. */
  capture(request: { readonly paymentId: string }, call: PartnerCall): Promise<z.output<typeof captured>>;
  /** Gives back what was captured, or voids what was only prepared. `undoes`: the key of prepare and capture. */
  refund(request: { readonly undoes: string }, call: PartnerCall): Promise<Undone>;
  registerCard(
    request: { readonly paymentId: string },
    call: PartnerCall,
  ): Promise<z.output<typeof registered>>;
}

export function createPaymentPartner(ask: Ask): PaymentPartner {
  return {
    prepare: ({ amountMinor, currency, returnUrl }, call) =>
      ask('prepare', { amountMinor, currency, returnUrl }, call, prepared),
    capture: ({ paymentId }, call) => ask('capture', { paymentId }, call, captured),
    refund: ({ undoes }, call) => ask('refund', { undoes }, call, undone),
    registerCard: ({ paymentId }, call) => ask('register-card', { paymentId }, call, registered),
  };
}
