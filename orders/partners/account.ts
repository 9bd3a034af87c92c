import { z } from 'zod';
import type { Ask, PartnerCall } from './partner-client.ts';

const verified = z.object({ accountId: z.string().min(1) });

export interface AccountPartner {
  verify(request: { readonly email: string }, call: PartnerCall): Promise<z.output<typeof verified>>;
}

export function createAccountPartner(ask: Ask): AccountPartner {
  return { verify: ({ email }, call) => ask('verify', { email }, call, verified) };
}
