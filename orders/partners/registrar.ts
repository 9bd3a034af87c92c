import { z } from 'zod';
import type { Ask, PartnerCall } from './partner-client.ts';

const acquired = z.object({ registrationId: z.string().min(1) });

export interface RegistrarPartner {
  acquire(request: { readonly domain: string }, call: PartnerCall): Promise<z.output<typeof acquired>>;
}

export function createRegistrarPartner(ask: Ask): RegistrarPartner {
  return { acquire: ({ domain }, call) => ask('acquire', { domain }, call, acquired) };
}
