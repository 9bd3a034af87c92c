import { z } from 'zod';
import type { Ask, PartnerCall } from './partner-client.ts';

const sent = z.object({ messageId: z.string().min(1) });

export interface MailPartner {
  send(
    request: { readonly email: string; readonly template: string },
    call: PartnerCall,
  ): Promise<z.output<typeof sent>>;
}

export function createMailPartner(ask: Ask): MailPartner {
  return { send: ({ email, template }, call) => ask('send', { email, template }, call, sent) };
}
