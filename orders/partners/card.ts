import { z } from 'zod';
import type { Ask, PartnerCall } from './partner-client.ts';
import { type Undone, undone } from './undone.ts';

const redeemed = z.object({ redemptionId: z.string().min(1) });

export interface CardPartner {
  redeem(request: { readonly cardCode: string }, call: PartnerCall): Promise<z.output<typeof redeemed>>;
  /** `undoes`: the idempotency key of the redemption. */
  reactivate(request: { readonly undoes: string }, call: PartnerCall): Promise<Undone>;
}

export function createCardPartner(ask: Ask): CardPartner {
  return {
    redeem: ({ cardCode }, call) => ask('redeem', { cardCode }, call, redeemed),
    reactivate: ({ undoes }, call) => ask('reactivate', { undoes }, call, undone),
  };
}
