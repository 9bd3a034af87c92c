import { z } from 'zod';
import type { LookUp } from './look-up.ts';
import type { Ask, PartnerCall } from './partner-client.ts';

const sent = z.object({ messageId: z.string().min(1) });
type Sent = z.output<typeof sent>;

export interface MailPartner {
  send(request: { readonly email: string; readonly template: string }, call: PartnerCall): Promise<Sent>;
  /** One mail of many. */
  deliver(
    request: {
      readonly email: string;
      readonly subject: string;
      readonly text: string;
      /** The partner makes the headers of RFC 8058 of it: `List-Unsubscribe` and `List-Unsubscribe-Post`. */
      readonly unsubscribeUrl?: string;
    },
    call: PartnerCall,
  ): Promise<Sent>;
  readonly find: LookUp;
}

/** `askOnce` attempts a call once: whoever sends to many decides himself when to try again. */
export function createMailPartner({ ask, askOnce, find }: MailParts): MailPartner {
  return {
    send: ({ email, template }, call) => ask('send', { email, template }, call, sent),
    deliver: (request, call) => askOnce('deliver', { ...request }, call, sent),
    find,
  };
}

interface MailParts {
  readonly ask: Ask;
  readonly askOnce: Ask;
  readonly find: LookUp;
}
