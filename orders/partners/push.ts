import { z } from 'zod';
import type { LookUp } from './look-up.ts';
import type { Ask, PartnerCall } from './partner-client.ts';

const sent = z.object({ messageId: z.string().min(1) });

export interface PushPartner {
  deliver(
    request: { readonly token: string; readonly title: string; readonly text: string },
    call: PartnerCall,
  ): Promise<z.output<typeof sent>>;
  readonly find: LookUp;
}

export function createPushPartner(askOnce: Ask, find: LookUp): PushPartner {
  return {
    deliver: ({ token, title, text }, call) => askOnce('deliver', { token, title, text }, call, sent),
    find,
  };
}
