import { type AccountPartner, createAccountPartner } from './account.ts';
import { type CardPartner, createCardPartner } from './card.ts';
import { createLookUp } from './look-up.ts';
import { createMailPartner, type MailPartner } from './mail.ts';
import { createPartnerClient, type PartnerClientOptions } from './partner-client.ts';
import { createCallSeries } from './partner-metrics.ts';
import { createPaymentPartner, type PaymentPartner } from './payment.ts';
import { createPushPartner, type PushPartner } from './push.ts';
import { createRegistrarPartner, type RegistrarPartner } from './registrar.ts';
import { createWorkspacePartner, type WorkspacePartner } from './workspace.ts';

/** Whom an order has to do with. Errors of every call: see partner-client.ts. */
export interface Partners {
  readonly account: AccountPartner;
  readonly card: CardPartner;
  readonly payment: PaymentPartner;
  readonly registrar: RegistrarPartner;
  readonly workspace: WorkspacePartner;
  readonly mail: MailPartner;
  readonly push: PushPartner;
}

/** What each partner is asked for: its series are there before the first call. */
const EFFECTS: Readonly<Record<keyof Partners, readonly string[]>> = {
  account: ['verify'],
  card: ['redeem', 'reactivate'],
  payment: ['prepare', 'capture', 'refund', 'register-card'],
  registrar: ['acquire'],
  workspace: ['set-up', 'tear-down'],
  mail: ['send', 'deliver'],
  push: ['deliver'],
};

/** Each partner has a circuit breaker of its own: one that is down does not keep the others from being asked. */
export function createPartners(options: PartnerClientOptions): Partners {
  const once = { ...options, maxAttempts: 1 };
  createCallSeries(EFFECTS);
  return {
    account: createAccountPartner(createPartnerClient('account', options)),
    card: createCardPartner(createPartnerClient('card', options)),
    payment: createPaymentPartner(createPartnerClient('payment', options)),
    registrar: createRegistrarPartner(createPartnerClient('registrar', options)),
    workspace: createWorkspacePartner(createPartnerClient('workspace', options)),
    mail: createMailPartner({
      ask: createPartnerClient('mail', options),
      askOnce: createPartnerClient('mail', once),
      find: createLookUp('mail', options),
    }),
    push: createPushPartner(createPartnerClient('push', once), createLookUp('push', options)),
  };
}
